#include "config/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>

#include "config/placeholders.h"
#include "config/server_options.h"
#include "config/text.h"
#include "config/values.h"

namespace shoal::config {
namespace {

// --- From words to fields. Each gives what is wrong, empty when all is well. -----------------------------------------

/// The field at the end of a path of members: at<&Config::gossip, &Gossip::timing>(config).
template <auto... kPath>
auto& at(Config& config) {
  return (config.*....*kPath);
}

template <auto... kPath>
std::string set_duration(const Setting& setting, const Words& words, Config& config) {
  const auto duration = parse_duration(words[0]);
  if (!duration) return "is no duration; write it as 500ms, 30s or 1m30s";
  if (duration->count() < setting.least || duration->count() > setting.most) {
    return "must be from " + duration_text(Duration(setting.least)) + " to " + duration_text(Duration(setting.most));
  }
  at<kPath...>(config) = *duration;
  return {};
}

template <auto... kPath>
std::string set_integer(const Setting& setting, const Words& words, Config& config) {
  std::int64_t number = 0;
  if (std::string wrong = read_integer(words[0], setting.least, setting.most, number); !wrong.empty()) return wrong;
  auto& field = at<kPath...>(config);
  if constexpr (std::is_integral_v<std::remove_reference_t<decltype(field)>>) {
    field = static_cast<std::remove_reference_t<decltype(field)>>(number);
  } else {
    field = static_cast<typename std::remove_reference_t<decltype(field)>::value_type>(number);
  }
  return {};
}

/// The enumerators stand in the order of the choices in `unit`.
template <auto... kPath>
std::string set_choice(const Setting& setting, const Words& words, Config& config) {
  const auto choices = split(setting.unit, '|');
  const auto found = std::find(choices.begin(), choices.end(), words[0]);
  if (found == choices.end()) {
    std::string all;
    for (const std::string_view choice : choices) all += (all.empty() ? "" : ", ") + std::string(choice);
    return "is none of " + all + did_you_mean(nearest(words[0], choices));
  }
  auto& field = at<kPath...>(config);
  using Field = std::remove_reference_t<decltype(field)>;
  if constexpr (std::is_enum_v<Field>) {
    field = static_cast<Field>(found - choices.begin());
  } else {
    field = static_cast<typename Field::value_type>(found - choices.begin());
  }
  return {};
}

template <std::string (*kCheck)(std::string_view), auto... kPath>
std::string set_text(const Setting&, const Words& words, Config& config) {
  if (std::string wrong = kCheck(words[0]); !wrong.empty()) return wrong;
  at<kPath...>(config) = words[0];
  return {};
}

/// For values with a reader of their own: read(text, field).
template <auto kRead, auto... kPath>
std::string set_read(const Setting&, const Words& words, Config& config) {
  return kRead(words[0], at<kPath...>(config));
}

template <auto kRead, auto... kPath>
std::string set_list(const Setting& setting, const Words& words, Config& config) {
  if (setting.most > 0 && words.size() > static_cast<std::size_t>(setting.most)) {
    return "has " + std::to_string(words.size()) + " entries; at most " + std::to_string(setting.most) +
           " are possible";
  }
  auto& list = at<kPath...>(config);
  list.clear();
  for (const std::string& word : words) {
    typename std::remove_reference_t<decltype(list)>::value_type item;
    if (std::string wrong = kRead(word, item); !wrong.empty()) return quoted(word) + " " + wrong;
    list.push_back(std::move(item));
  }
  return {};
}

std::string read_pool_name(std::string_view text, std::string& out) {
  out = text;
  return check_pool_name(text);
}

std::string read_bool(std::string_view text, bool& out) {
  out = text == "true";
  return out || text == "false" ? std::string() : "is neither true nor false";
}

std::string read_percent(std::string_view text, std::uint32_t& out) {
  const std::string_view number = !text.empty() && text.back() == '%' ? text.substr(0, text.size() - 1) : text;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out);
  if (error == std::errc{} && end == number.data() + number.size() && out <= 100) return {};
  return "is no share; write it as 0% to 100%";
}

std::string set_tags(const Setting&, const Words& words, Config& config) {
  config.node.tags.clear();
  for (const std::string& word : words) {
    Tag tag;
    if (std::string wrong = read_tag(word, tag); !wrong.empty()) return quoted(word) + " " + wrong;
    for (const Tag& other : config.node.tags) {
      if (other.name == tag.name) return "has the tag " + quoted(tag.name) + " twice";
    }
    config.node.tags.push_back(std::move(tag));
  }
  return {};
}

std::string set_sockets(const Setting&, const Words& words, Config& config) {
  if (words.empty() || words.size() > kSocketsMax) return "must be 1 to 8 sockets, one for each HAProxy";
  config.haproxy.sockets.clear();
  for (const std::string& word : words) {
    RuntimeSocket socket;
    if (std::string wrong = read_runtime_socket(word, socket); !wrong.empty()) return quoted(word) + " " + wrong;
    for (const RuntimeSocket& other : config.haproxy.sockets) {
      if (other.text == socket.text) return "has " + quoted(word) + " twice; each HAProxy is named once";
    }
    config.haproxy.sockets.push_back(std::move(socket));
  }
  return {};
}

/// Options for a single pool are put in place by load(), which knows the pool.
std::string check_pool_options(const Setting&, const Words& words, Config&) {
  std::string clean;
  return check_server_options(words[0], clean);
}

std::string set_advertise_port(const Setting& setting, const Words& words, Config& config) {
  return set_integer<&Config::task, &Task::advertise_port>(setting, words, config);
}

std::string check_argv(const Words& words) {
  if (words.empty() || words[0].empty()) return "is empty; name the program to run";
  for (const std::string& word : words) {
    if (word.find('\0') != std::string::npos) return "has a NUL in it";
  }
  return {};
}

/// HAProxy's own words are passed on untouched: no placeholders.
std::string set_haproxy_command(const Setting&, const Words& words, Config& config) {
  if (std::string wrong = check_argv(words); !wrong.empty()) return wrong;
  if (std::find(words.begin() + 1, words.end(), "-D") != words.end())
    return "has -D, which sends HAProxy into the background, out of shoal's sight; write -W -db in its place";
  config.haproxy.command = words;
  return {};
}

std::string set_command(const Setting&, const Words& words, Config& config) {
  if (std::string wrong = check_argv(words); !wrong.empty()) return wrong;
  for (const std::string& word : words) {
    const std::string_view unknown = unknown_placeholder(word);
    if (unknown.empty()) continue;
    return "has the placeholder " + std::string(unknown) +
           ", which is none of {addr}, {port}, {fd}; for a brace itself write {{";
  }
  config.worker.command = words;
  return {};
}

// --- The table. ------------------------------------------------------------------------------------------------------

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMs;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::string_view kTime = "DURATION";

// What haproxy.server_options recommends: an L4 check (an L7 check with short timeouts empties a pool of busy
// single-threaded workers), quick second thoughts, and connection reuse, which HAProxy 2.6 otherwise loses.
constexpr std::string_view kServerOptions =
    "check inter 2s fastinter 200 downinter 200 rise 1 fall 3 pool-max-conn -1 pool-purge-delay 5s observe layer4 "
    "error-limit 5 on-error mark-down";

constexpr std::array kSettings = {
    Setting{"role", "-", Type::kChoice, Concerns::kBoth, false, "sidecar|task", "", "what the subcommand says",
            "\"task\"", "What this process is; the subcommand says the same.", 0, 0, &set_choice<&Config::role>},

    Setting{"node.name", "--node", Type::kText, Concerns::kBoth, false, "NAME", "", "node-<hostname>-<5 hex digits>",
            "\"web-1\"", "Name in the cluster; must be another one at each start.", 0, 0,
            &set_text<&check_node_name, &Config::node, &Node::name>},
    Setting{"node.tags", "--tag", Type::kTags, Concerns::kBoth, false, "NAME=VALUE", "", "no further tags",
            "{ zone = \"a\" }", "Further serf tags; role, state, shoal and wish are shoal's own.", 0, 0, &set_tags},

    Setting{"gossip.bind", "--bind", Type::kText, Concerns::kBoth, false, "ADDRESS[:PORT]", "",
            "sidecar 0.0.0.0:7946; task 0.0.0.0 and the first free port of 7947 to 7999, else any", "\"0.0.0.0:7946\"",
            "Where gossip listens, UDP and TCP; [::] takes both families.", 0, 0,
            &set_read<&read_bind, &Config::gossip, &Gossip::bind>},
    Setting{"gossip.advertise", "--advertise", Type::kText, Concerns::kBoth, false, "ADDRESS|INTERFACE|CIDR|auto",
            "auto", "", "\"10.0.0.5\"", "The address that others are told; auto: that of the route to a seed.", 0, 0,
            &set_read<&read_advertise, &Config::gossip, &Gossip::advertise>},
    Setting{"gossip.join", "--join", Type::kList, Concerns::kBoth, false, "HOST[:PORT]|srv:NAME", "",
            "no seeds: wait to be joined", "[\"haproxy.internal\", \"srv:shoal.internal\"]",
            "Seeds: members to join the cluster through.", 0, 64,
            &set_list<&read_seed, &Config::gossip, &Gossip::join>},
    Setting{"gossip.profile", "--profile", Type::kChoice, Concerns::kBoth, false, "lan|wan|local", "lan", "", "\"wan\"",
            "Set of timings; the same on all members.", 0, 0, &set_choice<&Config::gossip, &Gossip::profile>},
    Setting{"gossip.members_max", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "10000", "", "10000",
            "Members that memory is reserved for; above it they are refused and counted.", 16, 100'000,
            &set_integer<&Config::gossip, &Gossip::members_max>},
    Setting{"gossip.reap_after", "", Type::kDuration, Concerns::kBoth, false, kTime, "10m", "", "\"10m\"",
            "Failed and left members are forgotten after this.", kMinute, 30 * kDay,
            &set_duration<&Config::gossip, &Gossip::reap_after>},
    Setting{"gossip.allow", "--allow", Type::kList, Concerns::kBoth, false, "CIDR", "", "all addresses",
            "[\"10.0.0.0/8\"]", "Addresses that may be a member.", 0, 32,
            &set_list<&read_cidr, &Config::gossip, &Gossip::allow>},
    Setting{"gossip.key", "-", Type::kText, Concerns::kBoth, true, "BASE64", "", "gossip is not encrypted",
            "\"T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s=\"",
            "AES key of the cluster, 16, 24 or 32 bytes; shoal keygen makes one. Never a flag.", 0, 0,
            &set_read<&read_key, &Config::gossip, &Gossip::key>},
    Setting{"gossip.keyring_file", "-", Type::kText, Concerns::kBoth, false, "PATH", "", "gossip is not encrypted",
            "\"/var/lib/shoal/keyring.json\"",
            "serf's keyring, in the place of gossip.key; rewritten by shoal keys. Never a flag.", 0, 0,
            &set_text<&check_file_path, &Config::gossip, &Gossip::keyring_file>},
    Setting{"gossip.label", "", Type::kText, Concerns::kBoth, false, "TEXT", "", "no label", "\"blue\"",
            "Only members with the same label understand each other; stock serf agents know none.", 0, 0,
            &set_text<&check_label, &Config::gossip, &Gossip::label>},
    Setting{"gossip.snapshot_dir", "--snapshot-dir", Type::kText, Concerns::kBoth, false, "PATH|off", "",
            "sidecar ./serf-snapshots; task off", "\"./serf-snapshots\"",
            "Keeps <role>.snapshot there, serf's file, to find the members again after a restart.", 0, 0,
            &set_read<&read_snapshot_dir, &Config::gossip, &Gossip::snapshot_dir>},

    Setting{"gossip.timing.probe_interval", "", Type::kDuration, Concerns::kBoth, false, kTime, "",
            "lan 1s, wan 5s, local 1s", "\"1s\"", "Time between two probes.", 50 * kMs, kMinute,
            &set_duration<&Config::gossip, &Gossip::timing, &Timing::probe_interval>},
    Setting{"gossip.timing.probe_timeout", "", Type::kDuration, Concerns::kBoth, false, kTime, "",
            "lan 500ms, wan 3s, local 200ms", "\"500ms\"", "Wait for an ack before others are asked to probe.",
            10 * kMs, kMinute, &set_duration<&Config::gossip, &Gossip::timing, &Timing::probe_timeout>},
    Setting{"gossip.timing.indirect_checks", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "",
            "lan 3, wan 3, local 1", "3", "Members asked to probe for us when an ack is late.", 0, 16,
            &set_integer<&Config::gossip, &Gossip::timing, &Timing::indirect_checks>},
    Setting{"gossip.timing.suspicion_mult", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "",
            "lan 4, wan 6, local 3", "4", "Shortest suspicion, in probe intervals per log10 of the members.", 1, 100,
            &set_integer<&Config::gossip, &Gossip::timing, &Timing::suspicion_mult>},
    Setting{"gossip.timing.suspicion_max_mult", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "", "6", "6",
            "Longest suspicion, in shortest ones.", 1, 100,
            &set_integer<&Config::gossip, &Gossip::timing, &Timing::suspicion_max_mult>},
    Setting{"gossip.timing.awareness_max", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "", "8", "8",
            "How far bad local health may stretch the probe timings; 1 is off.", 1, 64,
            &set_integer<&Config::gossip, &Gossip::timing, &Timing::awareness_max>},
    Setting{"gossip.timing.gossip_interval", "", Type::kDuration, Concerns::kBoth, false, kTime, "",
            "lan 200ms, wan 500ms, local 100ms", "\"200ms\"", "Time between two rounds of gossip.", 10 * kMs, kMinute,
            &set_duration<&Config::gossip, &Gossip::timing, &Timing::gossip_interval>},
    Setting{"gossip.timing.gossip_nodes", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "",
            "lan 3, wan 4, local 3", "3", "Members told in one round.", 1, 16,
            &set_integer<&Config::gossip, &Gossip::timing, &Timing::gossip_nodes>},
    Setting{"gossip.timing.retransmit_mult", "", Type::kInteger, Concerns::kBoth, false, "NUMBER", "",
            "lan 4, wan 4, local 2", "4", "How often each message is sent, times log10 of the members.", 1, 32,
            &set_integer<&Config::gossip, &Gossip::timing, &Timing::retransmit_mult>},
    Setting{"gossip.timing.push_pull_interval", "", Type::kDuration, Concerns::kBoth, false, kTime, "",
            "lan 30s, wan 60s, local 15s", "\"30s\"", "Time between two full exchanges of state.", kSecond, kHour,
            &set_duration<&Config::gossip, &Gossip::timing, &Timing::push_pull_interval>},
    Setting{"gossip.timing.tcp_timeout", "", Type::kDuration, Concerns::kBoth, false, kTime, "",
            "lan 10s, wan 30s, local 1s", "\"10s\"", "Longest full exchange of state.", 100 * kMs, 5 * kMinute,
            &set_duration<&Config::gossip, &Gossip::timing, &Timing::tcp_timeout>},
    Setting{"gossip.timing.dead_gossip_time", "", Type::kDuration, Concerns::kBoth, false, kTime, "",
            "lan 30s, wan 60s, local 15s", "\"30s\"", "How long the dead are still told that they are.", kSecond, kHour,
            &set_duration<&Config::gossip, &Gossip::timing, &Timing::dead_gossip_time>},

    Setting{"haproxy.socket", "--haproxy-socket", Type::kList, Concerns::kSidecar, false, "SOCKET",
            "/var/run/haproxy/admin.sock", "", "[\"/run/haproxy-a.sock\", \"ipv4@127.0.0.1:9999\"]",
            "HAProxy's runtime socket, level admin; up to 8, one for each HAProxy.", 0, 0, &set_sockets},
    Setting{"haproxy.backend", "--haproxy-backend", Type::kText, Concerns::kSidecar, false, "POOL", "shoal", "",
            "\"web\"", "The pool for a task that names none.", 0, 0,
            &set_text<&check_pool_name, &Config::haproxy, &Haproxy::backend>},
    Setting{"haproxy.backends", "", Type::kList, Concerns::kSidecar, false, "POOL", "", "every pool that HAProxy has",
            "[\"shoal\", \"api\"]", "Pools that tasks may join.", 0, 64,
            &set_list<&read_pool_name, &Config::haproxy, &Haproxy::backends>},
    Setting{"haproxy.server_options", "", Type::kText, Concerns::kSidecar, false, "OPTIONS", kServerOptions, "",
            "\"check inter 2s rise 1 fall 3\"", "Appended to add server; keywords from a list, values checked.", 0, 0,
            &set_read<&check_server_options, &Config::haproxy, &Haproxy::server_options>},
    Setting{"haproxy.pool.NAME.server_options", "-", Type::kText, Concerns::kSidecar, false, "OPTIONS", "",
            "haproxy.server_options", "\"check inter 1s maxconn 100\"",
            "The same for the pool NAME alone; only in the file.", 0, 0, &check_pool_options},
    Setting{"haproxy.method", "", Type::kChoice, Concerns::kSidecar, false, "auto|dynamic|slots", "auto", "",
            "\"slots\"", "Servers are added, or slots of server-template filled; auto: where none can be added.", 0, 0,
            &set_choice<&Config::haproxy, &Haproxy::method>},
    Setting{"haproxy.verify", "", Type::kChoice, Concerns::kSidecar, false, "connect|check|none", "connect", "",
            "\"check\"", "Before the first request: connect once, wait for HAProxy's own check, or nothing.", 0, 0,
            &set_choice<&Config::haproxy, &Haproxy::verify>},
    Setting{"haproxy.server_prefix", "", Type::kText, Concerns::kSidecar, false, "PREFIX", "shoal-", "", "\"shoal-\"",
            "Servers whose name begins so are shoal's own; no other is ever touched.", 0, 0,
            &set_text<&check_server_prefix, &Config::haproxy, &Haproxy::server_prefix>},
    Setting{"haproxy.reconcile_interval", "", Type::kDuration, Concerns::kSidecar, false, kTime, "5s", "", "\"5s\"",
            "Time between two full comparisons with HAProxy's table.", 100 * kMs, kHour,
            &set_duration<&Config::haproxy, &Haproxy::reconcile_interval>},
    Setting{"haproxy.grace", "", Type::kDuration, Concerns::kSidecar, false, kTime, "30s", "", "\"30s\"",
            "How long a failed task's server stays in maintenance before it is deleted.", 10 * kSecond, kDay,
            &set_duration<&Config::haproxy, &Haproxy::grace>},
    Setting{"haproxy.state_file", "", Type::kText, Concerns::kSidecar, false, "FILE", "", "none is kept",
            "\"/var/lib/shoal/pool.json\"",
            "The last good pool, to serve from after a restart until gossip has found the tasks.", 0, 0,
            &set_text<&check_file_path, &Config::haproxy, &Haproxy::state_file>},
    Setting{"haproxy.command", "-", Type::kCommand, Concerns::kSidecar, false, "COMMAND ARGS...", "",
            "HAProxy is started by somebody else",
            "[\"haproxy\", \"-W\", \"-db\", \"-f\", \"/etc/haproxy/haproxy.cfg\"]",
            "HAProxy, started and supervised by shoal; on the command line after --.", 0, 0, &set_haproxy_command},
    Setting{"haproxy.removal_floor", "", Type::kText, Concerns::kSidecar, false, "PERCENT", "50%", "", "\"50%\"",
            "Share of a pool that failed and unready tasks never take out while their places do not refuse.", 0, 0,
            &set_read<&read_percent, &Config::haproxy, &Haproxy::removal_floor>},
    Setting{"haproxy.dry_run", "", Type::kChoice, Concerns::kSidecar, false, kFalseOrTrue, "false", "", "true",
            "Says in the log what HAProxy would be told, and tells it nothing.", 0, 0,
            &set_read<&read_bool, &Config::haproxy, &Haproxy::dry_run>},

    Setting{"sidecar.solicit_interval", "--solicit-interval", Type::kDuration, Concerns::kSidecar, false, kTime, "30s",
            "", "\"30s\"", "How often tasks that are not known well are asked to announce again.", kSecond, kHour,
            &set_duration<&Config::sidecar, &Sidecar::solicit_interval>},

    Setting{"task.backend", "--backend", Type::kText, Concerns::kTask, false, "POOL", "",
            "the sidecar's haproxy.backend", "\"web\"", "The pool to join.", 0, 0,
            &set_text<&check_pool_name, &Config::task, &Task::backend>},
    Setting{"task.listen", "--listen", Type::kText, Concerns::kTask, false, "ADDRESS:PORT", "0.0.0.0:0", "",
            "\"0.0.0.0:8080\"", "The service socket, given to the worker; port 0: any free port.", 0, 0,
            &set_read<&read_listen, &Config::task, &Task::listen>},
    Setting{"task.weight", "--weight", Type::kInteger, Concerns::kTask, false, "NUMBER", "100", "", "100",
            "Weight in HAProxy, 1 to 256.", 1, 256, &set_integer<&Config::task, &Task::weight>},
    Setting{"task.adaptive_weight", "", Type::kChoice, Concerns::kTask, false, kFalseOrTrue, "false", "", "true",
            "Asks for a lower weight while connections wait to be accepted, and for the whole one again afterwards.", 0,
            0, &set_read<&read_bool, &Config::task, &Task::adaptive_weight>},
    Setting{"task.drain_timeout", "--drain-timeout", Type::kDuration, Concerns::kBoth, false, kTime, "30s", "",
            "\"30s\"", "Longest time from SIGTERM to exit.", kSecond, kDay,
            &set_duration<&Config::task, &Task::drain_timeout>},
    Setting{"task.stop_timeout", "--stop-timeout", Type::kDuration, Concerns::kBoth, false, kTime, "30s", "",
            "\"120s\"", "What the platform gives between SIGTERM and SIGKILL; shoal is done 2 s before.", 3 * kSecond,
            kDay, &set_duration<&Config::task, &Task::stop_timeout>},
    Setting{"task.advertise_port", "", Type::kInteger, Concerns::kTask, false, "PORT", "", "the bound port", "8080",
            "The service port that the proxy must use, where it differs.", 1, 65535, &set_advertise_port},

    Setting{"worker.command", "--worker", Type::kCommand, Concerns::kTask, false, "COMMAND ARGS...", "",
            "an error for a task", "[\"./server\", \"--fd={fd}\"]",
            "The worker; {addr}, {port}, {fd} are filled in, {{ is a brace.", 0, 0, &set_command},
    Setting{"worker.socket", "--worker-socket", Type::kChoice, Concerns::kTask, false, "pass|reserve|reserve-close",
            "pass", "", "\"reserve\"", "pass: the worker inherits the listener; else it binds SHOAL_PORT itself.", 0, 0,
            &set_choice<&Config::worker, &Worker::socket>},
    Setting{"worker.ready", "--ready", Type::kText, Concerns::kTask, false, "auto|notify|http:/PATH|tcp|delay:TIME",
            "auto", "", "\"http:/healthz\"",
            "Ready when it accepts or says READY=1 (auto), says so, answers, can be connected to, or after a time.", 0,
            0, &set_read<&read_ready, &Config::worker>},
    Setting{"worker.ready_timeout", "", Type::kDuration, Concerns::kTask, false, kTime, "60s", "", "\"60s\"",
            "A worker that is not ready by then is stopped; the task exits 75, or starts it anew.", 100 * kMs, kDay,
            &set_duration<&Config::worker, &Worker::ready_timeout>},
    Setting{"worker.health", "--health", Type::kText, Concerns::kTask, false, "off|http:/PATH|tcp|queue", "off", "",
            "\"http:/healthz\"", "Watches the ready worker; unhealthy, it is out of rotation until it recovers.", 0, 0,
            &set_read<&read_health, &Config::worker>},
    Setting{"worker.health_interval", "", Type::kDuration, Concerns::kTask, false, kTime, "2s", "", "\"2s\"",
            "From the end of one look at its health to the next.", 100 * kMs, kHour,
            &set_duration<&Config::worker, &Worker::health_interval>},
    Setting{"worker.health_timeout", "", Type::kDuration, Concerns::kTask, false, kTime, "1s", "", "\"5s\"",
            "An answer later than this is a failure.", 50 * kMs, kHour,
            &set_duration<&Config::worker, &Worker::health_timeout>},
    Setting{"worker.health_rise", "", Type::kInteger, Concerns::kTask, false, "NUMBER", "2", "", "2",
            "Successes in a row that bring an unhealthy worker back.", 1, 100,
            &set_integer<&Config::worker, &Worker::health_rise>},
    Setting{"worker.health_fall", "", Type::kInteger, Concerns::kTask, false, "NUMBER", "3", "", "3",
            "Failures in a row that make a worker unhealthy.", 1, 100,
            &set_integer<&Config::worker, &Worker::health_fall>},
    Setting{"worker.health_action", "", Type::kChoice, Concerns::kTask, false, "withdraw|restart", "withdraw", "",
            "\"restart\"", "What becomes of an unhealthy worker: out of rotation, or stopped and started anew.", 0, 0,
            &set_choice<&Config::worker, &Worker::health_action>},
    Setting{"worker.stop_signal", "", Type::kText, Concerns::kTask, false, "SIGNAL", "SIGTERM", "", "\"SIGQUIT\"",
            "Asks the worker to stop; nginx wants SIGQUIT.", 0, 0,
            &set_read<&read_signal, &Config::worker, &Worker::stop_signal>},
    Setting{"worker.signal_scope", "", Type::kChoice, Concerns::kTask, false, "group|leader", "group", "", "\"leader\"",
            "Who gets the stop and forwarded signals: the process group, or the worker alone.", 0, 0,
            &set_choice<&Config::worker, &Worker::signal_scope>},
    Setting{"worker.restart", "--restart", Type::kChoice, Concerns::kTask, false, "never|on-failure|always", "never",
            "", "\"on-failure\"", "Whether a worker that has ended is started anew, instead of ending the task.", 0, 0,
            &set_choice<&Config::worker, &Worker::restart>},
    Setting{"worker.backlog_wait", "", Type::kDuration, Concerns::kTask, false, kTime, "0s", "", "\"2s\"",
            "How long a crashed worker stays in rotation; clients wait for the new one meanwhile.", 0, 10 * kMinute,
            &set_duration<&Config::worker, &Worker::backlog_wait>},
    Setting{"worker.on_hup", "", Type::kChoice, Concerns::kTask, false, "renew|forward", "",
            "renew; forward where the worker binds its port itself", "\"forward\"",
            "SIGHUP starts a new generation of the worker, or is passed on to it.", 0, 0,
            &set_choice<&Config::worker, &Worker::on_hup>},
    Setting{"worker.log", "", Type::kChoice, Concerns::kTask, false, "inherit|wrap", "inherit", "", "\"wrap\"",
            "wrap: each line that the worker writes becomes a line of shoal's own log.", 0, 0,
            &set_choice<&Config::worker, &Worker::log>},

    Setting{"health.min_proxies", "", Type::kInteger, Concerns::kTask, false, "NUMBER", "1", "", "2",
            "shoal health: red until the task has been in rotation in so many HAProxies at once; 0: until it is ready.",
            0, 64, &set_integer<&Config::health, &Health::min_proxies>},

    Setting{"control.socket", "", Type::kText, Concerns::kBoth, false, "PATH|@NAME|off", "",
            "/run/shoal/<role>-<gossip port>.sock, else @shoal/<role>-<gossip port>", "\"/run/shoal/web.sock\"",
            "Where shoal members, shoal keys and the like reach this process; @ is an abstract name.", 0, 0,
            &set_read<&read_control_socket, &Config::control>},

    Setting{"rpc.bind", "", Type::kText, Concerns::kBoth, false, "ADDRESS[:PORT]|off", "off", "", "\"127.0.0.1:7373\"",
            "serf's own RPC, for serf members -rpc-addr=...; beyond loopback it needs rpc.auth_key.", 0, 0,
            &set_read<&read_rpc_bind, &Config::rpc, &Rpc::bind>},
    Setting{"rpc.auth_key", "-", Type::kText, Concerns::kBoth, true, "TEXT", "", "none is asked for",
            "\"a long secret\"", "What clients of rpc.bind have to know (SERF_RPC_AUTH). Never a flag.", 0, 0,
            &set_text<&check_auth_key, &Config::rpc, &Rpc::auth_key>},

    Setting{"log.level", "--log-level", Type::kChoice, Concerns::kBoth, false, "debug|info|warn|error", "info", "",
            "\"debug\"", "Lines below it are not written.", 0, 0, &set_choice<&Config::log, &LogSettings::level>},
    Setting{"log.format", "--log-format", Type::kChoice, Concerns::kBoth, false, "auto|text|json", "auto", "",
            "\"json\"", "auto: text on a terminal, else JSON.", 0, 0, &set_choice<&Config::log, &LogSettings::format>},
};

constexpr std::array kFutureKeys = {
    FutureKey{"haproxy.allow_addr", "", "a task's server has the task's own address"},
    FutureKey{"haproxy.mode", "", "servers are set through the runtime socket"},
    FutureKey{"etcd.", "", "backends come from gossip alone"},
    FutureKey{"http.bind", "--http", "look at HAProxy and at the log"},
};

constexpr std::string_view kPoolKeyStart = "haproxy.pool.";
constexpr std::string_view kPoolKeyEnd = ".server_options";

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

std::span<const Setting> settings() { return kSettings; }

const Setting* find_setting(std::string_view key) {
  const auto* found = std::find_if(kSettings.begin(), kSettings.end(), [&](const Setting& s) { return s.key == key; });
  return found == kSettings.end() ? nullptr : found;
}

const Setting& pool_options_setting() { return *find_setting("haproxy.pool.NAME.server_options"); }

std::string pool_options_key(std::string_view pool) {
  constexpr std::string_view kBare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const bool bare = !pool.empty() && pool.find_first_not_of(kBare) == std::string_view::npos;
  return std::string(kPoolKeyStart) + (bare ? std::string(pool) : quoted(pool)) + std::string(kPoolKeyEnd);
}

std::string flag_of(const Setting& setting) {
  if (setting.flag == "-" || setting.secret) return {};
  return setting.flag.empty() ? long_flag_of(setting.key) : std::string(setting.flag);
}

std::string variable_of(const Setting& setting) {
  return &setting == &pool_options_setting() ? std::string() : variable_of_key(setting.key);
}

std::string long_flag_of(std::string_view key) {
  std::string out = "--" + std::string(key);
  for (char& c : out) {
    if (c == '.' || c == '_') c = '-';
  }
  return out;
}

std::string variable_of_key(std::string_view key) {
  std::string out = "SHOAL_" + std::string(key);
  for (char& c : out) {
    if (c == '.') c = '_';
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

bool concerns_role(const Setting& setting, Role role) {
  switch (setting.concerns) {
    case Concerns::kBoth: return true;
    case Concerns::kSidecar: return role == Role::kSidecar;
    case Concerns::kTask: return role == Role::kTask;
  }
  SHOAL_UNREACHABLE();
}

std::string_view to_text(Role role) { return role == Role::kSidecar ? "sidecar" : "task"; }

std::span<const FutureKey> future_keys() { return kFutureKeys; }

const FutureKey* find_future_key(std::string_view key) {
  for (const FutureKey& future : kFutureKeys) {
    const bool section = future.key.back() == '.';
    if (section ? key.substr(0, future.key.size()) == future.key || key == future.key.substr(0, future.key.size() - 1)
                : key == future.key) {
      return &future;
    }
  }
  return nullptr;
}

std::string_view nearest_key(std::string_view key) {
  // A right name in a wrong section is the likeliest slip: gossip.weight, drain_timeout at the top.
  for (const Setting& setting : kSettings) {
    if (last_part(setting.key) == last_part(key) && setting.key.find("NAME") == std::string_view::npos) {
      return setting.key;
    }
  }
  std::vector<std::string_view> keys;
  for (const Setting& setting : kSettings) keys.push_back(setting.key);
  return nearest(key, keys);
}

std::string to_text(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::kDefault: return "default";
    case Origin::Kind::kFile: return origin.name + ":" + std::to_string(origin.line);
    case Origin::Kind::kEnvironment: return "env " + origin.name;
    case Origin::Kind::kFlag: return origin.name;
  }
  SHOAL_UNREACHABLE();
}

Problem problem_with(const Given& given, std::string_view what) {
  Problem out;
  out.place = to_text(given.origin);
  out.key = given.pool.empty() ? std::string(given.setting->key) : pool_options_key(given.pool);
  out.text = out.place + ": " + out.key + " = " + toml_value(*given.setting, given.words) + ": " + std::string(what);
  return out;
}

std::string toml_value(const Setting& setting, const Words& words) {
  if (setting.secret) return "(secret)";
  switch (setting.type) {
    case Type::kText:
    case Type::kChoice:
    case Type::kDuration: return quoted(words[0]);
    case Type::kInteger: {
      const bool number = !words[0].empty() && words[0].find_first_not_of("-0123456789") == std::string::npos;
      return number ? words[0] : quoted(words[0]);
    }
    case Type::kTags: {
      std::string out;
      for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        out += out.empty() ? "{ " : ", ";
        if (equals == std::string::npos) {
          out += quoted(word);
        } else {
          out += quoted(word.substr(0, equals)) + " = " + quoted(word.substr(equals + 1));
        }
      }
      return out.empty() ? "{}" : out + " }";
    }
    case Type::kList:
    case Type::kCommand: {
      std::string out = "[";
      for (const std::string& word : words) out += (out.size() > 1 ? ", " : "") + quoted(word);
      return out + "]";
    }
  }
  SHOAL_UNREACHABLE();
}

std::string words_from_text(const Setting& setting, std::string_view text, Words& words) {
  words.clear();
  switch (setting.type) {
    case Type::kText:
    case Type::kChoice:
    case Type::kDuration:
    case Type::kInteger: words.emplace_back(text); return {};
    case Type::kList:
    case Type::kTags:
      for (const std::string_view part : split(text, ',')) {
        words.emplace_back(trimmed(part));
        if (words.back().empty()) return "has an empty element; write the elements with one comma between them";
      }
      return {};
    case Type::kCommand:
      if (parse_json_strings(text, words)) return {};
      words.assign(1, std::string(text));
      return "is no JSON array of strings; write it as [\"./server\", \"--fd={fd}\"]";
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::config
