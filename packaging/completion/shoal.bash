# bash completion of shoal
_shoal() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words
  case $before in
    -c|--config) COMPREPLY=($(compgen -f -X '!*.toml' -- "$word") $(compgen -d -- "$word")); return ;;
    -o) COMPREPLY=($(compgen -W "json text" -- "$word")); return ;;
    --profile) COMPREPLY=($(compgen -W "lan wan local" -- "$word")); return ;;
    --haproxy-method) COMPREPLY=($(compgen -W "auto dynamic slots" -- "$word")); return ;;
    --haproxy-verify) COMPREPLY=($(compgen -W "connect check none" -- "$word")); return ;;
    --haproxy-dry-run) COMPREPLY=($(compgen -W "false true" -- "$word")); return ;;
    --task-adaptive-weight) COMPREPLY=($(compgen -W "false true" -- "$word")); return ;;
    --worker-socket) COMPREPLY=($(compgen -W "pass reserve reserve-close" -- "$word")); return ;;
    --worker-health-action) COMPREPLY=($(compgen -W "withdraw restart" -- "$word")); return ;;
    --worker-signal-scope) COMPREPLY=($(compgen -W "group leader" -- "$word")); return ;;
    --restart) COMPREPLY=($(compgen -W "never on-failure always" -- "$word")); return ;;
    --worker-on-hup) COMPREPLY=($(compgen -W "renew forward" -- "$word")); return ;;
    --worker-log) COMPREPLY=($(compgen -W "inherit wrap" -- "$word")); return ;;
    --log-level) COMPREPLY=($(compgen -W "debug info warn error" -- "$word")); return ;;
    --log-format) COMPREPLY=($(compgen -W "auto text json" -- "$word")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "task sidecar health status members keys keygen event force-leave drain maint ready config version -c --help" -- "$word"))
    return
  fi
  case ${COMP_WORDS[1]} in
    task) words="--advertise --allow --backend --bind --control-socket --drain-timeout --gossip-label --gossip-members-max --gossip-reap-after --gossip-timing-awareness-max --gossip-timing-dead-gossip-time --gossip-timing-gossip-interval --gossip-timing-gossip-nodes --gossip-timing-indirect-checks --gossip-timing-probe-interval --gossip-timing-probe-timeout --gossip-timing-push-pull-interval --gossip-timing-retransmit-mult --gossip-timing-suspicion-max-mult --gossip-timing-suspicion-mult --gossip-timing-tcp-timeout --health --health-min-proxies --join --listen --log-format --log-level --node --profile --ready --restart --rpc-bind --snapshot-dir --stop-timeout --tag --task-adaptive-weight --task-advertise-port --weight --worker --worker-backlog-wait --worker-health-action --worker-health-fall --worker-health-interval --worker-health-rise --worker-health-timeout --worker-log --worker-on-hup --worker-ready-timeout --worker-signal-scope --worker-socket --worker-stop-signal -c --help" ;;
    sidecar) words="--advertise --allow --bind --control-socket --drain-timeout --gossip-label --gossip-members-max --gossip-reap-after --gossip-timing-awareness-max --gossip-timing-dead-gossip-time --gossip-timing-gossip-interval --gossip-timing-gossip-nodes --gossip-timing-indirect-checks --gossip-timing-probe-interval --gossip-timing-probe-timeout --gossip-timing-push-pull-interval --gossip-timing-retransmit-mult --gossip-timing-suspicion-max-mult --gossip-timing-suspicion-mult --gossip-timing-tcp-timeout --haproxy-backend --haproxy-backends --haproxy-dry-run --haproxy-grace --haproxy-method --haproxy-reconcile-interval --haproxy-removal-floor --haproxy-server-options --haproxy-server-prefix --haproxy-socket --haproxy-state-file --haproxy-verify --join --log-format --log-level --node --profile --rpc-bind --snapshot-dir --solicit-interval --stop-timeout --tag -c --help" ;;
    health) words="--ready --timeout --help" ;;
    status) words=" --help" ;;
    members) words=" --help" ;;
    keys) words="list install use remove --help" ;;
    keygen) words=" --help" ;;
    event) words=" --help" ;;
    force-leave) words="--prune --help" ;;
    drain) words="--stop --help" ;;
    maint) words="--stop --help" ;;
    ready) words=" --help" ;;
    config) words="check print reference --help" ;;
    version) words=" --help" ;;
    *) words="--advertise --allow --backend --bind --control-socket --drain-timeout --gossip-label --gossip-members-max --gossip-reap-after --gossip-timing-awareness-max --gossip-timing-dead-gossip-time --gossip-timing-gossip-interval --gossip-timing-gossip-nodes --gossip-timing-indirect-checks --gossip-timing-probe-interval --gossip-timing-probe-timeout --gossip-timing-push-pull-interval --gossip-timing-retransmit-mult --gossip-timing-suspicion-max-mult --gossip-timing-suspicion-mult --gossip-timing-tcp-timeout --haproxy-backend --haproxy-backends --haproxy-dry-run --haproxy-grace --haproxy-method --haproxy-reconcile-interval --haproxy-removal-floor --haproxy-server-options --haproxy-server-prefix --haproxy-socket --haproxy-state-file --haproxy-verify --health --health-min-proxies --join --listen --log-format --log-level --node --profile --ready --restart --rpc-bind --snapshot-dir --solicit-interval --stop-timeout --tag --task-adaptive-weight --task-advertise-port --weight --worker --worker-backlog-wait --worker-health-action --worker-health-fall --worker-health-interval --worker-health-rise --worker-health-timeout --worker-log --worker-on-hup --worker-ready-timeout --worker-signal-scope --worker-socket --worker-stop-signal" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _shoal shoal
