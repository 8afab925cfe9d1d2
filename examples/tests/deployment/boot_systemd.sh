# Runs in namespaces of its own: shows a systemd the units of squall and no others, and becomes that systemd.
# Arguments: the directory of the units, the program of the service, the address to listen on.
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
for directory in /usr/lib/systemd/system /etc/systemd/system /usr/lib/systemd/system-generators /usr/local/bin; do
    mount -t tmpfs tmpfs "$directory"
done
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

cd /etc/systemd/system
for target in basic default multi-user shutdown sockets sysinit; do
    printf '[Unit]\nDefaultDependencies=no\n' >"$target.target"
done
cp "$1/squall.service" .
sed "s/^ListenStream=.*/ListenStream=$3/" "$1/squall.socket" >squall.socket
cp "$2" /usr/local/bin/prefork
exec env -i container=squall PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \
    --log-target=console --log-level=notice --show-status=no --default-standard-output=inherit
