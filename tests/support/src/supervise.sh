# Runs one private PostgreSQL for as long as standard input stays open.
#
# Started by postgres.rs as: sh supervise.sh FOLDER BIN USER. Commands arrive one a line, each is answered by one
# line, `ok` or `failed`. The end of the input means that the owner is gone, however it went: everything is removed.
dir=$1
bin=$2
user=$3
trap '' INT TERM HUP PIPE
cd "$dir" || exit 1

as_user() {
    if [ -z "$user" ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@"
    else
        runuser -u "$user" -- "$@"
    fi
}

init() {
    if [ -n "$user" ]; then
        chown -R "$user" "$dir" || return 1
    fi
    as_user "$bin/initdb" -D "$dir/data" -U postgres -E UTF8 --locale=C --no-sync \
        --pwfile="$dir/password" --auth-local=trust --auth-host=password || return 1
    cat "$dir/settings" >>"$dir/data/postgresql.conf" || return 1
    if [ -f "$dir/hba" ]; then
        cat "$dir/hba" >"$dir/data/pg_hba.conf" || return 1
    fi
}

# A standby of the server at this port.
copy() {
    if [ -n "$user" ]; then
        chown -R "$user" "$dir" || return 1
    fi
    PGPASSWORD=$(cat "$dir/password")
    export PGPASSWORD
    as_user "$bin/pg_basebackup" -h 127.0.0.1 -p "$1" -U postgres -D "$dir/data" -R -X stream \
        --checkpoint=fast --no-sync || return 1
    # Later lines win.
    cat "$dir/settings" >>"$dir/data/postgresql.conf"
}

start() {
    # The port is given here, so that a taken one can be replaced by another.
    as_user "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/server.log" -o "-p $1" start
}

stop() {
    as_user "$bin/pg_ctl" -D "$dir/data" -w -t 60 -m "$1" stop
}

while read -r command argument; do
    case $command in
    init) init ;;
    copy) copy "$argument" ;;
    start) start "$argument" ;;
    stop) stop "$argument" ;;
    *) false ;;
    esac >>"$dir/supervise.log" 2>&1 && echo ok || echo failed
done

if [ -f "$dir/data/postmaster.pid" ]; then
    read -r pid <"$dir/data/postmaster.pid"
    stop immediate >/dev/null 2>&1 || kill -9 "$pid" 2>/dev/null
fi
cd /
# A dying backend may still write a file while the folder is being removed.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$dir" 2>/dev/null
    [ -e "$dir" ] || exit 0
    sleep 0.2
done
