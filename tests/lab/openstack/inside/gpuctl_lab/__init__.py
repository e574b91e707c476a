"""The half of the lab that runs inside the lab's own virtual environment, in Nova's processes."""
