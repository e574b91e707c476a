"""How a host boots: one back-end a file.

Each back-end reads what boots next, and turns a Wish into Changes; the reading half is called from facts/, the
planning half from changes/, the verifying half from apply/. The three doors are in `boot.registry`:

    read_boot(host, release)            -> Boot           which loader, which image builder, what boots next
    managed_paths(boot)                 -> [path]         every file that plan_boot may write: facts reads them all
    read_images(host, boot, installed)  -> [Image]        what is inside each built initramfs
    plan_boot(facts, wish)              -> (changes, manual)
    verify_boot(host, facts, wish)      -> [problem]      read back from where it counts: grub.cfg, entries, images
"""
