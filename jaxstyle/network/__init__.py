"""VGG-19 as a Flax module, and the weights that fill it.

`vgg` is the network, `pooling` and `convolution` its layers; `tuning` measures which convolution
is fastest on this machine (`machine`); `weights` finds, loads and prepares weights files.
"""
