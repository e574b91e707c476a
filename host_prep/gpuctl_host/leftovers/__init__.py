"""What Nova leaves in its instances folder and in libvirt when a move goes wrong: seen, and judged. Reading only.

Who may take a leftover away, and how, is in apply/quarantine.py.
"""
