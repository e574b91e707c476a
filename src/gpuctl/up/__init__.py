"""`gpuctl up`: from bare hosts to what can be sold, phase by phase, each the work of its own room."""
