"""VGG-19 as a Flax module, and its weights.

`vgg` is the network, `pooling` and `convolution` are its layers; `tuning` measures which
convolution algorithm is fastest on this host; `machine` describes the host and sets its memory
allocator; `weights` finds and loads weights files and builds networks from them.
"""
