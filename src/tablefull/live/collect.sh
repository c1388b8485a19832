#!/bin/sh
# Facts about this machine's connection-tracking table, for `tablefull diagnose`:
#
#     sh collect.sh > facts.txt        (as root for everything, as anybody else for what /proc shows)
#
# It only looks: it writes nothing but its output, loads no module, creates no table, and ends within 30 seconds.
# It asks a part of the kernel only where that part is there already, and it reads the first rows of the table only
# (their order is a keyed hash, so they are a fair sample). Needs a POSIX shell, grep, sed, head and cat.

if [ ! -c /dev/null ] || [ ! -w /dev/null ]; then
  echo 'collect.sh: there is no /dev/null here; mount /dev (in a chroot: mount --bind /dev ROOT/dev)' >&2
  exit 4
fi

LC_ALL=C
PATH=/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:$PATH
export LC_ALL PATH
umask 077

ROWS=3000       # of the table, in each network namespace
LINES_MOST=2000 # of any other output
SECONDS_MOST=26 # nothing is begun after this, and where there is a `timeout` nothing lasts past it
STEP=4          # seconds for one program
SPACES_MOST=64  # network namespaces

host=$(cat /proc/sys/kernel/hostname 2>/dev/null)
[ -n "$host" ] || host=$(uname -n)
release=$(uname -r)
who=user
mark='$'
root=no
if [ "$(id -u)" = 0 ]; then
  who=root
  mark='#'
  root=yes
fi
begun=$(date +%s)
place=$host # whose output it is: the host, or a namespace of it
inside=''   # the words before a command that move it into a namespace; empty on the host

# left: the seconds that the next program may take; false where none are left.
left() {
  seconds=$((begun + SECONDS_MOST - $(date +%s)))
  [ "$seconds" -gt 0 ] || return 1
  [ "$seconds" -lt "$STEP" ] || seconds=$STEP
}

# limit COMMAND...: run it for at most STEP seconds, where this machine has a `timeout` (busybox spelled it otherwise
# up to 1.29); elsewhere `head` ends what prints too much.
if timeout 1 true 2>/dev/null; then
  limit() { left && timeout "$seconds" "$@"; }
elif timeout -t 1 true 2>/dev/null; then
  limit() { left && timeout -t "$seconds" "$@"; }
else
  limit() { left && "$@"; }
fi

# Without CAP_SYS_MODULE a program that calls modprobe fails to load anything.
guard=''
if [ "$root" = yes ] && setpriv --bounding-set -sys_module true 2>/dev/null; then
  guard='setpriv --bounding-set -sys_module'
fi

# stop: nobody takes what is printed (a full disk, a closed output), so there is nothing more to do.
stop() {
  echo 'collect.sh: the output cannot be written; stopped' >&2
  exit 4
}

{ true >&1; } 2>/dev/null || stop

# put FORMAT WORD...: print, or end here.
# shellcheck disable=SC2059
put() { printf "$@" 2>/dev/null || stop; }

say() { put '%s@%s:~%s %s\n' "$who" "$place" "$mark" "$*"; }
# skip WHAT WHY: a note that a reader takes for a typed comment; at most four words of WHY in a row.
skip() { say "# not run: $1: $2"; }

# there PART OPTION: true where asking this part of the kernel loads nothing.
there() {
  grep -q "^$1 " /proc/modules 2>/dev/null && return 0
  [ -d "/sys/module/$1" ] && return 0
  for folder in /lib/modules /usr/lib/modules; do
    grep -q "/$1\.ko" "$folder/$release/modules.builtin" 2>/dev/null && return 0
  done
  zcat /proc/config.gz 2>/dev/null | grep -q "^$2=y" && return 0
  grep -q "^$2=y" "/boot/config-$release" 2>/dev/null && return 0
  nothing_loads
}

# nothing_loads: true where this kernel cannot load a module, or no longer.
nothing_loads() {
  [ -r /proc/version ] && [ ! -e /proc/modules ] && return 0
  [ "$(cat /proc/sys/kernel/modules_disabled 2>/dev/null)" = 1 ]
}

# file PATH...: each as `cat` shows it, where it can be read and is not empty.
file() {
  for path in "$@"; do
    # shellcheck disable=SC2086  # $inside is several words on purpose
    text=$($inside cat "$path" 2>/dev/null | head -n "$LINES_MOST")
    [ -n "$text" ] || continue
    say "cat $path"
    put '%s\n' "$text"
  done
}

# values PATH...: one line each, name:value.
values() {
  # shellcheck disable=SC2086
  text=$($inside grep -s '' "$@" /dev/null 2>/dev/null | head -n "$LINES_MOST")
  [ -n "$text" ] || return 0
  say "grep '' $1"
  put '%s\n' "$text"
}

# ask COMMAND...: what a program that only lists prints, where it is installed.
ask() {
  command -v "$1" >/dev/null 2>&1 || return 1
  # shellcheck disable=SC2086
  text=$(limit $inside $guard "$@" 2>/dev/null </dev/null | head -n "$LINES_MOST")
  [ -n "$text" ] || return 1
  say "$*"
  put '%s\n' "$text"
}

needs_root() {
  [ "$root" = yes ] && return 0
  skip "$1" 'it needs root'
  return 1
}

rows() {
  for path in /proc/net/nf_conntrack /proc/net/ip_conntrack; do
    # shellcheck disable=SC2086
    $inside ls "$path" >/dev/null 2>&1 || continue
    needs_root "$path" || return 0
    say "head -n $ROWS $path"
    # shellcheck disable=SC2086
    limit $inside head -n "$ROWS" "$path" 2>/dev/null
    return 0
  done
  [ -e /proc/sys/net/netfilter/nf_conntrack_count ] || return 0
  needs_root 'conntrack -L' || return 0
  if ! there nf_conntrack_netlink CONFIG_NF_CT_NETLINK; then
    skip 'conntrack -L' 'it would load nf_conntrack_netlink'
  elif command -v conntrack >/dev/null 2>&1; then
    for family in ipv4 ipv6; do
      say "conntrack -L -f $family | head -n $ROWS"
      # shellcheck disable=SC2086
      limit $inside $guard conntrack -L -f "$family" 2>/dev/null </dev/null | head -n "$ROWS"
    done
  fi
}

sockets() {
  # shellcheck disable=SC2086
  counted=$(limit $inside head -q -n 100000 /proc/net/tcp /proc/net/tcp6 2>/dev/null | sed -n \
    's/^ *[0-9]*: [0-9A-F]*:[0-9A-F]* [0-9A-F]*:[0-9A-F]* \([0-9A-F][0-9A-F]\) .*/\1/p' | sort | uniq -c | sed \
    -e 's/ 01$/ ESTABLISHED/' -e 's/ 02$/ SYN_SENT/' -e 's/ 03$/ SYN_RECV/' -e 's/ 04$/ FIN_WAIT1/' \
    -e 's/ 05$/ FIN_WAIT2/' -e 's/ 06$/ TIME_WAIT/' -e 's/ 07$/ CLOSE/' -e 's/ 08$/ CLOSE_WAIT/' \
    -e 's/ 09$/ LAST_ACK/' -e 's/ 0A$/ LISTEN/' -e 's/ 0B$/ CLOSING/' -e 's/ 0C$/ SYN_RECV/')
  [ -n "$counted" ] || return 0
  say "awk '{print \$4}' /proc/net/tcp /proc/net/tcp6 | sort | uniq -c"
  put '%s\n' "$counted"
}

# legacy TOOL NAMES: the tables that are there already, each by name; listing any other would create it.
legacy() {
  # shellcheck disable=SC2086
  tables=$($inside cat "$2" 2>/dev/null)
  [ -n "$tables" ] || return 0
  needs_root "$1-save" || return 0
  saver=$1-legacy-save
  if ! command -v "$saver" >/dev/null 2>&1; then
    saver=$1-save
    case $(readlink -f "$(command -v "$saver" 2>/dev/null)" 2>/dev/null) in
    '' | *nft*)
      skip "$1-save" 'no legacy program here'
      return 0
      ;;
    esac
  fi
  for table in $tables; do
    ask "$saver" -c -t "$table"
  done
}

firewall() {
  if needs_root 'nft list ruleset' && command -v nft >/dev/null 2>&1; then
    if ! there nf_tables CONFIG_NF_TABLES; then
      skip 'nft list ruleset' 'it would load nf_tables'
    elif [ -z "$guard" ] && grep -q '^nft_compat ' /proc/modules 2>/dev/null && [ ! -e /proc/net/ip_tables_names ]; then
      skip 'nft list ruleset' 'it would load ip_tables'
    else
      ask nft -t list ruleset || ask nft list ruleset
    fi
  fi
  legacy iptables /proc/net/ip_tables_names
  legacy ip6tables /proc/net/ip6_tables_names
}

counters() {
  [ -e /proc/sys/net/netfilter/nf_conntrack_count ] || return 0
  needs_root 'conntrack -S' || return 0
  if there nf_conntrack_netlink CONFIG_NF_CT_NETLINK; then
    ask conntrack -S
  else
    skip 'conntrack -S' 'it would load nf_conntrack_netlink'
  fi
}

# ports: those of bridges; that there are none is told too. A dump of links loads nothing (net/core/rtnetlink.c).
ports() {
  command -v bridge >/dev/null 2>&1 || return 0
  # shellcheck disable=SC2086
  text=$(limit $inside $guard bridge link 2>/dev/null </dev/null) || return 0
  say 'bridge link'
  text=$(printf '%s\n' "$text" | head -n "$LINES_MOST")
  [ -z "$text" ] || put '%s\n' "$text"
}

namespace() {
  values /proc/sys/net/netfilter/* /proc/sys/net/nf_conntrack_max
  values /proc/sys/net/ipv4/ip_conntrack_max /proc/sys/net/ipv4/netfilter/*
  values /proc/sys/net/bridge/*
  ports
  values /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/core/somaxconn \
    /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv4/tcp_fin_timeout /proc/sys/net/ipv4/tcp_tw_reuse \
    /proc/sys/net/ipv4/tcp_max_tw_buckets /proc/sys/net/ipv4/tcp_max_orphans /proc/sys/net/ipv4/tcp_syncookies \
    /proc/sys/net/ipv4/tcp_max_syn_backlog /proc/sys/net/ipv4/tcp_keepalive_time /proc/sys/net/ipv4/neigh/default/gc_*
  file /proc/net/stat/nf_conntrack /proc/net/stat/ip_conntrack /proc/net/sockstat /proc/net/netstat /proc/net/snmp
  sockets
  counters
  firewall
  rows
}

WORDS='conntrack|suppressed|overflow|netfilter|ip_tables|br_netfilter|SYN flooding|orphaned|martian|ut of memory'
WORDS="$WORDS|ut of socket memory|oom-killer|allocation fail|Linux version|limit of|vmalloc|nf_"

log() {
  lines=$(limit dmesg 2>/dev/null | grep -E "$WORDS" | tail -n 1000)
  if [ -n "$lines" ]; then
    say 'dmesg'
    put '%s\n' "$lines"
    return 0
  fi
  limit dmesg >/dev/null 2>&1 && return 0
  if command -v journalctl >/dev/null 2>&1; then
    lines=$(limit journalctl -k -b -q --no-pager -o short-monotonic -n 20000 2>/dev/null | grep -E "$WORDS" | tail -n 1000)
  fi
  for path in /var/log/kern.log /var/log/messages /var/log/syslog; do
    if [ -n "$lines" ] || [ ! -r "$path" ]; then continue; fi
    lines=$(tail -c 4000000 "$path" 2>/dev/null | grep kernel | grep -E "$WORDS" | tail -n 1000)
  done
  if [ -n "$lines" ]; then
    say 'journalctl -k'
    put '%s\n' "$lines"
  else
    skip dmesg 'the kernel hides it'
  fi
}

configuration() {
  for path in /etc/sysctl.conf /etc/ufw/sysctl.conf /run/sysctl.d/* /etc/sysctl.d/* /usr/lib/sysctl.d/* \
    /lib/sysctl.d/* /etc/modprobe.conf /etc/modprobe.d/* /etc/modules /etc/modules-load.d/*; do
    if [ -d "$path" ] || [ ! -r "$path" ]; then continue; fi
    text=$(grep -v '^[[:space:]]*[#;]' "$path" 2>/dev/null | grep -E 'conntrack|net\.|nf_|br_netfilter' | head -n 200)
    [ -n "$text" ] || continue
    say "cat $path"
    put '%s\n' "$text"
  done
}

machine() {
  say 'uname -a'
  uname -a || stop
  file /etc/os-release /etc/redhat-release /etc/openwrt_release /proc/meminfo /proc/modules
  text=$(grep -s -E 'slabinfo - version|# name|conntrack' /proc/slabinfo)
  if [ -n "$text" ]; then
    say 'cat /proc/slabinfo'
    put '%s\n' "$text"
  fi
  values /sys/module/nf_conntrack/parameters/hashsize /sys/module/nf_conntrack/parameters/expect_hashsize \
    /sys/module/ip_conntrack/parameters/hashsize /proc/sys/net/core/message_burst /proc/sys/net/core/message_cost \
    /proc/sys/net/core/netdev_max_backlog
  configuration
  log
}

# spaces: a line for each network namespace but our own: name or inode, and what enters it.
spaces() {
  own=$(readlink /proc/self/ns/net 2>/dev/null)
  enter='' # nsenter of busybox knows -n only with a process; `ip` knows names only
  command -v nsenter >/dev/null 2>&1 && enter=nsenter
  for path in /run/netns/*; do
    [ -e "$path" ] || continue
    name=${path##*/}
    if [ -n "$enter" ]; then
      echo "$name nsenter --net=$path"
    elif command -v ip >/dev/null 2>&1; then
      echo "$name ip netns exec $name"
    fi
  done
  [ -n "$enter" ] || return 0
  # shellcheck disable=SC2012  # the names are numbers
  ls -l /proc/[0-9]*/ns/net 2>/dev/null | sed -n 's|^.* /proc/\([0-9]*\)/ns/net -> \(net:.[0-9]*.\)$|\2 \1|p' |
    sort -u -k 1,1 | while read -r inode pid; do
    [ "$inode" = "$own" ] && continue
    for path in /run/netns/*; do
      [ -e "$path" ] && [ "net:[$(ls -id "$path" 2>/dev/null | sed 's/^ *\([0-9]*\) .*/\1/')]" = "$inode" ] && continue 2
    done
    number=${inode#net:?}
    echo "${number%?} nsenter --net=/proc/$pid/ns/net"
  done
}

put '=== %s ===\n' "$host"
machine
namespace
if [ "$root" = yes ]; then
  all=$(spaces | head -n "$SPACES_MOST")
  if [ -n "$all" ]; then
    say 'ip netns list'
    printf '%s\n' "$all" | sed 's/ .*//'
    printf '%s\n' "$all" | while read -r name words; do
      if ! left; then
        skip "network namespace $name" 'no time left'
        continue
      fi
      place=$host.netns.$name
      inside=$words
      namespace
      : # what a program answered is no failure of the loop; `stop` is
    done || exit
  fi
fi
put '\n'
exit 0
