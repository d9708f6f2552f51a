#!/bin/busybox sh
# The guest's first process. The host's files are its own, read only, with a layer in memory
# over them for what tests write.
set -eu
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /host /layer
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do
    insmod "/modules/$module"
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /host
mount -t tmpfs tmpfs /layer
mkdir /layer/upper /layer/work /layer/root
cd /layer/root
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay .
cd /layer/root
mount -t tmpfs tmpfs run
mount --move /proc proc
mount --move /sys sys
mount --move /dev dev
mkdir -p dev/pts dev/shm lib/modules
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
kernel=$(cat /kernel)
mount --bind ".$kernel/lib/modules" lib/modules
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# As many files as a process gets from systemd would do; the first process gets 1,024.
ulimit -n 20000
exec switch_root . /bin/sh -c '
    ip link set lo up
    "$0" guest "$1/plan"
    echo o > /proc/sysrq-trigger
    sleep 60
' "$(cat /xtask)" "$kernel"
