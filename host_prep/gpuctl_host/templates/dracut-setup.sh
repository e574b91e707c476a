#!/bin/bash
# @HEADER@
# dracut module: the record of the cards, the drivers that it names, and the script that runs before udev.

# dracut sets these, and reads hostonly:
# shellcheck disable=SC2154,SC2034

# called by dracut
check() {
    [[ -r $dracutsysrootdir/etc/gpuctl/cards ]]
}

# called by dracut
depends() {
    # base has the shell; where systemd runs the image, dracut-systemd has the service that runs pre-udev hooks.
    if dracut_module_included "systemd"; then
        echo base dracut-systemd
    else
        echo base
    fi
    return 0
}

# called by dracut
installkernel() {
    # With hostonly set, dracut leaves out what is not loaded at this moment; these must be in whatever is loaded.
    local hostonly='' driver
    while read -r _ _ _ _ _ action driver _; do
        if [[ $action == bind ]]; then
            instmods "$driver" < /dev/null
        fi
    done < "$dracutsysrootdir/etc/gpuctl/cards"
    instmods vfio_iommu_type1
    return 0
}

# called by dracut
install() {
    inst_multiple modprobe
    inst_simple /etc/gpuctl/cards
    [[ -e $dracutsysrootdir/etc/modprobe.d/gpuctl.conf ]] && inst_simple /etc/modprobe.d/gpuctl.conf
    [[ -e $dracutsysrootdir/etc/udev/rules.d/10-gpuctl.rules ]] && inst_simple /etc/udev/rules.d/10-gpuctl.rules
    inst_hook pre-udev 05 "$moddir/gpuctl-early.sh"
    return 0
}
