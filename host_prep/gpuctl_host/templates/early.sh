#!/bin/sh
# @HEADER@
# Before udev starts: gives each card in /etc/gpuctl/cards to its driver by address, if it is the very card that was
# prepared; takes the functions off the bus that are marked so. Runs under dash, busybox and klibc's sh, with no tool
# but modprobe. Does nothing in a crash kernel, nor with `gpuctl=off` on the kernel command line.

PREREQ=""
case "${1:-}" in
prereqs)
	echo "$PREREQ"
	exit 0
	;;
esac

# A subshell: dracut sources this file, and none of these names shall reach its other hooks.
gpuctl_early() (
	sys=${GPUCTL_SYS:-/sys}
	proc=${GPUCTL_PROC:-/proc}
	record=${GPUCTL_RECORD:-/etc/gpuctl/cards}
	log=${GPUCTL_KMSG:-/dev/kmsg}
	drivers=""
	bound=""

	say() {
		{ echo "gpuctl: $*" >>"$log"; } 2>/dev/null
		return 0
	}

	# value FILE: the first line of it, or nothing.
	value() {
		value_line=""
		if [ -r "$1" ]; then
			read -r value_line <"$1" || :
		fi
	}

	# same DIR NAME WANT; "-": it was not known when the record was written.
	same() {
		[ "$3" != - ] || return 0
		value "$1/$2"
		[ "$value_line" = "0x$3" ]
	}

	# on_driver ADDRESS DRIVER
	on_driver() {
		[ -e "$sys/bus/pci/drivers/$2/$1" ]
	}

	# hand_over DIR ADDRESS DRIVER: an unbind can hang for as long as somebody uses the device.
	hand_over() {
		echo "$2" >"$1/driver/unbind"
		echo "$2" >"$sys/bus/pci/drivers_probe"
		if on_driver "$2" "$3"; then
			say "$2 taken from its driver, now on $3"
		else
			say "$2 could not be given to $3"
		fi
	}

	[ -r "$record" ] || return 0
	[ ! -e "$proc/vmcore" ] || return 0
	value "$proc/cmdline"
	case " $value_line " in
	*" gpuctl=off "*)
		say "off by the kernel command line"
		return 0
		;;
	esac

	while read -r address vendor device subvendor subdevice action driver rest; do
		case "$address" in
		"" | \#*) continue ;;
		esac
		dir=$sys/bus/pci/devices/$address
		if [ ! -e "$dir" ]; then
			say "$address is absent"
			continue
		fi
		if ! { same "$dir" vendor "$vendor" && same "$dir" device "$device" &&
			same "$dir" subsystem_vendor "$subvendor" && same "$dir" subsystem_device "$subdevice"; }; then
			say "$address is not the card that was prepared"
			continue
		fi
		case "$action" in
		bind)
			if ! { echo "$driver" >"$dir/driver_override"; } 2>/dev/null; then
				say "$address: driver_override could not be written"
				continue
			fi
			case " $drivers " in
			*" $driver "*) ;;
			*) drivers="$drivers $driver" ;;
			esac
			bound="$bound $address=$driver"
			;;
		remove)
			if { echo 1 >"$dir/remove"; } 2>/dev/null; then
				say "$address removed"
			else
				say "$address could not be removed"
			fi
			;;
		*)
			say "$address: no such action: $action"
			;;
		esac
	done <"$record"

	for driver in $drivers; do
		[ -e "$sys/bus/pci/drivers/$driver" ] || modprobe "$driver" || say "$driver could not be loaded"
	done

	for pair in $bound; do
		address=${pair%%=*}
		driver=${pair#*=}
		dir=$sys/bus/pci/devices/$address
		if [ ! -e "$dir/driver" ]; then
			{ echo "$address" >"$sys/bus/pci/drivers_probe"; } 2>/dev/null || :
		elif ! on_driver "$address" "$driver"; then
			hand_over "$dir" "$address" "$driver" 2>/dev/null &
			continue
		fi
		if on_driver "$address" "$driver"; then
			say "$address on $driver"
		else
			say "$address is not on $driver yet"
		fi
	done
	return 0
)

gpuctl_early
