#!/bin/bash
# @HEADER@
# mkinitcpio install hook: the record of the cards, the drivers that it names, and the script that runs before udev.

build() {
    local action driver
    [[ -r /etc/gpuctl/cards ]] || return 0
    add_file /etc/gpuctl/cards
    [[ -e /etc/modprobe.d/gpuctl.conf ]] && add_file /etc/modprobe.d/gpuctl.conf
    [[ -e /etc/udev/rules.d/10-gpuctl.rules ]] && add_file /etc/udev/rules.d/10-gpuctl.rules
    while read -r _ _ _ _ _ action driver _; do
        # The question mark: a kernel that has no such module is no error.
        [[ $action == bind ]] && add_module "$driver?" </dev/null
    done </etc/gpuctl/cards
    add_module "vfio_iommu_type1?"
    add_runscript
    return 0
}

help() {
    echo "Gives the cards in /etc/gpuctl/cards to vfio-pci before udev starts. Written by gpuctl host prepare."
}
