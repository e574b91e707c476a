#!/bin/sh
# @HEADER@
# Copies the record of the cards, and the drivers that it names, into the image that is being made.

PREREQ=""
case "${1:-}" in
prereqs)
	echo "$PREREQ"
	exit 0
	;;
esac

# shellcheck source=/dev/null
. /usr/share/initramfs-tools/hook-functions

[ -r /etc/gpuctl/cards ] || exit 0

mkdir -p "$DESTDIR/etc/gpuctl" "$DESTDIR/etc/modprobe.d"
cp -p /etc/gpuctl/cards "$DESTDIR/etc/gpuctl/cards"
if [ -r /etc/modprobe.d/gpuctl.conf ]; then
	cp -p /etc/modprobe.d/gpuctl.conf "$DESTDIR/etc/modprobe.d/gpuctl.conf"
fi

# manual_add_modules passes over a module that this kernel has not (vfio_virqfd is gone since 6.2), or has built in.
# shellcheck disable=SC2034 # fields of the line that are not needed here
while read -r address vendor device subvendor subdevice action driver rest; do
	case "$address" in
	"" | \#*) continue ;;
	esac
	if [ "$action" = bind ]; then
		manual_add_modules "$driver" </dev/null
	fi
done </etc/gpuctl/cards
manual_add_modules vfio_iommu_type1
exit 0
