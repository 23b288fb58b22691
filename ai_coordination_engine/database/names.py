"""The names of what lies in a data directory beside the file, for those that may not know each
other.
"""

PROCESSES = "processes"  # the folder of the processes that share the directory
CHANGES = ".changes"  # of the name of the FIFO of a process in which somebody watches
