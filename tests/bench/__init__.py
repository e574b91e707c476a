"""`make bench`: what gpuctl costs beside the tools that one would use instead."""
