#include "config/load.h"

#include <algorithm>
#include <utility>

#include "config/environment.h"
#include "config/placeholders.h"
#include "config/server_options.h"
#include "config/text.h"
#include "config/toml_loader.h"
#include "config/values.h"

namespace shoal::config {
namespace {

/// Fills one Loaded from the Sources, step by step in the order of run().
class Loader {
 public:
  explicit Loader(const Sources& sources) : sources_(sources) {}

  Loaded run() {
    read_sources();
    settle_role();
    settle_command();
    for (const Setting& setting : settings()) settle(setting);
    settle_pools();
    warn_about_other_role();
    fill_node_name();
    fill_bind();
    fill_snapshot_dir();
    check_keys();
    check_rpc();
    check_timing();
    check_pools();
    check_verify();
    check_advertise();
    check_task();
    for (const Problem& warning : out_.warnings) out_.config.warnings.push_back(warning.text);
    return std::move(out_);
  }

 private:
  void read_sources() {
    if (!sources_.file_name.empty() && !sources_.file_text) {
      out_.errors.push_back(
          {sources_.file_name,
           {},
           sources_.file_name + ": cannot be read: " + sources_.file_error + "; name the settings file after -c"});
    } else if (sources_.file_text) {
      load_toml(sources_.file_name, *sources_.file_text, given_, out_.errors);
    }
    load_environment(sources_.environment, given_, out_.errors, out_.warnings);
    given_.insert(given_.end(), sources_.flags.begin(), sources_.flags.end());
  }

  /// The last one wins, for sources were read from the weakest to the strongest.
  [[nodiscard]] const Given* last_given(const Setting& setting) const {
    for (auto it = given_.rbegin(); it != given_.rend(); ++it) {
      if (it->setting == &setting) return &*it;
    }
    return nullptr;
  }
  [[nodiscard]] const Given* value_of(std::string_view key) const {
    for (const Given& value : out_.values) {
      if (value.setting->key == key) return &value;
    }
    return nullptr;
  }
  [[nodiscard]] static bool is_default(const Given* value) {
    return value == nullptr || value->origin.kind == Origin::Kind::kDefault;
  }

  void error(const Given& given, std::string_view what) { out_.errors.push_back(problem_with(given, what)); }
  void warn(const Given& given, std::string_view what) { out_.warnings.push_back(problem_with(given, what)); }
  void error_unset(std::string_view key, std::string_view what) {
    out_.errors.push_back({{}, std::string(key), std::string(key) + " is not set: " + std::string(what)});
  }
  void warn_unset(std::string_view key, std::string_view what) {
    out_.warnings.push_back({{}, std::string(key), std::string(key) + " is not set: " + std::string(what)});
  }

  void settle_role() {
    const Setting& row = *find_setting("role");
    if (sources_.role) {
      const std::string said(to_text(*sources_.role));
      for (const Given& given : given_) {
        if (given.setting != &row || given.words[0] == said) continue;
        error(given, "differs from the command, which says " + said + "; remove one of the two");
      }
      std::erase_if(given_, [&](const Given& given) { return given.setting == &row; });
      given_.push_back(Given{&row, {}, {said}, Origin{Origin::Kind::kFlag, "shoal " + said, 0}});
    } else if (sources_.role_needed && last_given(row) == nullptr) {
      error_unset("role", "write `shoal sidecar` or `shoal task`, or role = \"sidecar\" or \"task\" in the file");
    }
  }

  /// What stands after -- is the worker's command unless the file alone knows that this is a sidecar.
  void settle_command() {
    const Given* role = last_given(*find_setting("role"));
    if (role == nullptr || role->words[0] != to_text(Role::kSidecar)) return;
    for (Given& given : given_) {
      if (given.setting->key == "worker.command" && given.origin.name == kAfterDashes)
        given.setting = find_setting("haproxy.command");
    }
  }

  void settle(const Setting& setting) {
    if (&setting == &pool_options_setting()) return;
    Given value;
    if (const Given* given = last_given(setting)) {
      value = *given;
    } else if (!setting.fallback.empty()) {
      value.setting = &setting;
      const std::string wrong = words_from_text(setting, setting.fallback, value.words);
      SHOAL_ASSERT(wrong.empty());
    } else {
      return;
    }
    const std::string wrong = setting.apply(setting, value.words, out_.config);
    if (!wrong.empty()) error(value, wrong);
    out_.values.push_back(std::move(value));
  }

  void settle_pools() {
    for (const Given& given : given_) {
      if (given.setting != &pool_options_setting()) continue;
      if (const std::string wrong = check_pool_name(given.pool); !wrong.empty())
        error(given, quoted(given.pool) + " " + wrong);
      PoolOptions options{given.pool, {}};
      const std::string wrong = check_server_options(given.words[0], options.server_options);
      if (!wrong.empty()) error(given, wrong);
      out_.config.haproxy.pools.push_back(std::move(options));
      out_.values.push_back(given);
    }
  }

  void warn_about_other_role() {
    if (!out_.config.role) return;
    const Role role = *out_.config.role;
    for (const Given& value : out_.values) {
      if (is_default(&value) || concerns_role(*value.setting, role)) continue;
      const std::string what = "has no effect in a " + std::string(to_text(role));
      if (value.origin.kind == Origin::Kind::kFlag) {
        error(value, what + "; leave the flag out");
      } else {
        warn(value, what);
      }
    }
  }

  void fill_node_name() {
    if (!out_.config.node.name.empty()) return;
    // Room for the 12 further characters; a host name has at most 64 bytes on Linux.
    std::string host = sources_.hostname.substr(0, 200);
    std::replace_if(
        host.begin(), host.end(),
        [](char c) {
          return has_control_bytes({&c, 1});
        },
        '_');
    if (host.empty()) host = "localhost";
    out_.config.node.name = "node-" + host + "-" + sources_.random_hex;
  }

  void fill_bind() {
    Bind& bind = out_.config.gossip.bind;
    if (value_of("gossip.bind") == nullptr) bind.addr = IpAddress::v4(0, 0, 0, 0);
    // Many tasks share a host, one sidecar has it to itself: only a task looks for a free port.
    if (!bind.port && out_.config.role != Role::kTask) bind.port = kGossipPort;
  }

  void fill_snapshot_dir() {
    // A task's name and disk are gone with it, so it keeps a snapshot only where one is asked for.
    if (value_of("gossip.snapshot_dir") == nullptr && out_.config.role == Role::kSidecar)
      out_.config.gossip.snapshot_dir = "./serf-snapshots";
  }

  void check_keys() {
    const Given* key = value_of("gossip.key");
    const Given* file = value_of("gossip.keyring_file");
    if (key == nullptr || file == nullptr) return;
    error(*key, "gossip.keyring_file is set too (" + to_text(file->origin) +
                    "), and it already holds the keys; drop gossip.key (the first key of the file is used to encrypt)");
  }

  void check_rpc() {
    const Rpc& rpc = out_.config.rpc;
    const Given* key = value_of("rpc.auth_key");
    if (key != nullptr && !rpc.bind) warn(*key, "has no effect: rpc.bind is off");
    if (key == nullptr && rpc.bind && !rpc.bind->addr.is_loopback()) {
      error(
          *value_of("rpc.bind"),
          "whoever reaches this address could stop this node and change the cluster's keys; set rpc.auth_key, or bind "
          "127.0.0.1");
    }
  }

  void check_timing() {
    struct Probe {
      Duration interval;
      Duration timeout;
    };
    // memberlist's values, needed here only to judge one of the two that is set without the other.
    constexpr Probe kProbes[] = {{1s, 500ms}, {5s, 3s}, {1s, 200ms}};
    const Timing& timing = out_.config.gossip.timing;
    const Probe& probe = kProbes[static_cast<std::size_t>(out_.config.gossip.profile)];
    const Duration interval = timing.probe_interval.value_or(probe.interval);
    const Duration timeout = timing.probe_timeout.value_or(probe.timeout);
    if (timeout <= interval || (!timing.probe_interval && !timing.probe_timeout)) return;
    const Given* given =
        value_of(timing.probe_timeout ? "gossip.timing.probe_timeout" : "gossip.timing.probe_interval");
    error(*given, "the probe's timeout (" + duration_text(timeout) + ") is longer than its interval (" +
                      duration_text(interval) + "); set gossip.timing.probe_timeout below it");
  }

  void check_pools() {
    const Haproxy& haproxy = out_.config.haproxy;
    const auto allowed = [&](const std::string& pool) {
      return haproxy.backends.empty() ||
             std::find(haproxy.backends.begin(), haproxy.backends.end(), pool) != haproxy.backends.end();
    };
    const Given* backend = value_of("haproxy.backend");
    if (!allowed(haproxy.backend)) {
      constexpr std::string_view kWhat = "is not among haproxy.backends; add it there, or name one of them";
      // Without the setting the operator may well want that every task names its pool.
      if (is_default(backend)) {
        warn(*backend, "is not among haproxy.backends, so a task that names no pool is refused");
      } else {
        error(*backend, kWhat);
      }
    }
    for (const Given& value : out_.values) {
      if (value.pool.empty() || allowed(value.pool)) continue;
      warn(value, "has no effect: the pool is not among haproxy.backends");
    }
  }

  /// HAProxy's own check can pass only where there is one.
  void check_verify() {
    if (out_.config.haproxy.verify != Verify::kCheck) return;
    const auto has_check = [](const std::string& options) {
      return (" " + options + " ").find(" check ") != std::string::npos;
    };
    constexpr std::string_view kWhat =
        "has no `check`, which haproxy.verify = \"check\" waits for; add it, or set haproxy.verify = \"connect\"";
    if (!has_check(out_.config.haproxy.server_options)) error(*value_of("haproxy.server_options"), kWhat);
    for (const Given& value : out_.values) {
      if (value.pool.empty()) continue;
      for (const PoolOptions& pool : out_.config.haproxy.pools) {
        if (pool.pool == value.pool && !has_check(pool.server_options)) error(value, kWhat);
      }
    }
  }

  void check_advertise() {
    const Gossip& gossip = out_.config.gossip;
    if (gossip.advertise.kind != Advertise::Kind::kAddress || gossip.allow.empty()) return;
    const bool inside = std::any_of(gossip.allow.begin(), gossip.allow.end(),
                                    [&](const Cidr& cidr) { return cidr.contains(gossip.advertise.addr); });
    const Given* given = value_of("gossip.advertise");
    if (!inside && given != nullptr)
      warn(*given, "is outside gossip.allow; members with the same list refuse this one");
  }

  void check_socket() {
    const Worker& worker = out_.config.worker;
    if (worker.socket == WorkerSocket::kPass) return;
    if (std::any_of(worker.command.begin(), worker.command.end(), &names_fd)) {
      error(*value_of("worker.command"),
            "has {fd}, but with this worker.socket the worker gets no descriptor; write {port}, which it binds itself, "
            "or set worker.socket = \"pass\"");
    }
    const Given* on_hup = value_of("worker.on_hup");
    if (on_hup == nullptr) {
      out_.config.worker.on_hup = OnHup::kForward;
    } else if (worker.on_hup == OnHup::kRenew) {
      error(*on_hup,
            "needs worker.socket = \"pass\": two generations of the worker cannot listen on one port side by side");
    }
    if (worker.backlog_wait > Duration{}) {
      error(*value_of("worker.backlog_wait"),
            "needs worker.socket = \"pass\": the queue of the worker's own socket ends with it, and nobody could wait "
            "there");
    }
  }

  void check_task() {
    if (out_.config.role != Role::kTask) return;
    if (value_of("worker.command") == nullptr) {
      constexpr std::string_view kWhat =
          "a task needs its worker's command; write it after --, as in "
          "`shoal task --join HOST -- ./server --port {port}`";
      // In a file alone that is no mistake: the command may stand on the command line.
      if (sources_.role_needed) {
        error_unset("worker.command", kWhat);
      } else {
        warn_unset("worker.command", kWhat);
      }
    }
    check_socket();
    check_probes();
    if (out_.config.gossip.join.empty()) {
      warn_unset("gossip.join", "this task finds no sidecar by itself and waits until another member joins it");
    }
  }

  /// shoal itself listens on a socket that it passes on: the kernel takes every connection, worker or no worker.
  void check_probes() {
    const Worker& worker = out_.config.worker;
    const Given* ready = value_of("worker.ready");
    const Given* health = value_of("worker.health");
    if (worker.socket == WorkerSocket::kPass) {
      if (worker.ready == Ready::kTcp) {
        error(*ready,
              "proves nothing where shoal listens for the worker: connections succeed before it runs; use auto, which "
              "sees the worker accept, or http:/path");
      }
      if (worker.health == WorkerHealth::kTcp) {
        error(*health,
              "proves nothing where shoal listens for the worker: connections succeed although it hangs; use queue, "
              "which sees whether it accepts, or http:/path");
      }
    } else {
      if (worker.health == WorkerHealth::kQueue)
        error(*health,
              "needs worker.socket = \"pass\": shoal cannot see the queue of the worker's own socket; use tcp");
      if (out_.config.task.adaptive_weight) {
        error(*value_of("task.adaptive_weight"),
              "needs worker.socket = \"pass\": shoal cannot see the queue of the worker's own socket");
      }
    }
    if (worker.ready == Ready::kDelay && worker.ready_timeout <= worker.ready_delay)
      error(*ready, "is not shorter than worker.ready_timeout, so the worker would never be ready");
    const Given* timeout = value_of("worker.health_timeout");
    if (worker.health == WorkerHealth::kQueue && !is_default(timeout))
      warn(*timeout,
           "has no effect with worker.health = \"queue\": a failure is a whole worker.health_interval of waiting");
    if (worker.health == WorkerHealth::kOff) {
      for (const char* key : {"worker.health_interval", "worker.health_timeout", "worker.health_rise",
                              "worker.health_fall", "worker.health_action"}) {
        const Given* given = value_of(key);
        if (!is_default(given)) warn(*given, "has no effect: worker.health is off");
      }
    }
  }

  const Sources& sources_;
  std::vector<Given> given_;  // From the weakest source to the strongest.
  Loaded out_;
};

}  // namespace

Loaded load(const Sources& sources) { return Loader(sources).run(); }

}  // namespace shoal::config
