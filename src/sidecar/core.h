// The sidecar: keeps the servers of one or several HAProxy processes as gossip's facts want them. The face of the
// folder.
//
//   gossip, announce, depart -> registry -> wanted ┐
//                                                  ├-> next step -> a batch on the session -> look -> ...
//   `show servers state` ----> server table -------┘
//
// The first change of a quiet period acts at once. While a batch is under way changes gather for the next one, so a
// storm batches itself. Each batch that changes something ends with a look at the whole table; nothing counts as done
// before HAProxy's own table shows it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "announce/messages.h"
#include "base/rng.h"
#include "haproxy/runtime_session.h"
#include "sidecar/desired_state.h"
#include "sidecar/floor.h"
#include "sidecar/looks.h"
#include "sidecar/outbox.h"
#include "sidecar/reconciler.h"
#include "sidecar/registry.h"
#include "sidecar/server_table.h"
#include "sidecar/verifier.h"

namespace shoal::sidecar {

struct PoolOptions {
  haproxy::BackendName pool;
  haproxy::ServerOptions server_options;
};

struct Options {
  static constexpr std::size_t kProxiesMax = 8;
  InlineVector<FixedString<128>, kProxiesMax> sockets;  // For the words of a refusal; one HAProxy each, at least one.
  std::array<bool, kProxiesMax> is_master{};            // The socket of that place is the master's.
  RegistryOptions registry;
  Policy policy;
  haproxy::SessionOptions session;
  haproxy::ServerOptions server_options;  // haproxy.server_options
  std::vector<PoolOptions> pool_options;  // haproxy.pool.NAME.server_options, in place of the general ones.
  bool check_first = false;               // haproxy.verify = "check": no request before HAProxy's own check has passed.
  bool dry_run = false;                   // HAProxy is asked, and told nothing; what it would be told is in the outbox.
  Duration reconcile_interval = 5s;
  Duration adoption_hold = 60s;
  Duration batch_gap = 5ms;  // Least time from the end of a batch to the next one.
  Duration drain_poll_min = 10ms;
  Duration drain_poll_max = 250ms;
  Duration check_poll_min = 100ms;  // Doubled up to reconcile_interval.
  Duration refusal_backoff_min = 1s;
  Duration refusal_backoff_max = 30s;
};

/// One server as the status page and tests want it.
struct ServerView {
  std::uint8_t proxy = 0;
  std::string_view node;  // Empty: no task claims it.
  std::string_view pool;
  std::string_view server;
  Wanted wanted;
  Observed observed;
  std::uint64_t in_flight = 0;
  std::string_view refusal;
  bool held = false;            // In rotation although `wanted` says otherwise: the floor's doing.
  Instant held_until = kNever;  // If it stays silent until then; kNever = without limit.
};

struct Counts {
  std::uint64_t malformed_rows = 0;
  std::uint64_t table_full = 0;
  std::uint64_t events_dropped = 0;
  std::uint64_t batches = 0;
  std::uint64_t commands = 0;
  std::uint64_t looks = 0;  // Connects before a server leaves.
  std::uint64_t holds = 0;  // How often the floor began to hold a server.
};

struct ProxyCounts {
  std::uint64_t commands = 0;  // Sent, the questions among them.
  std::uint64_t refused = 0;   // Changes that HAProxy has refused.
};

/// REQUIRES for inputs: `out` is empty and made for the same number of proxies; `now` never goes back. Both are
/// asserted.
class Core final {
 public:
  Core(const Options& options, Rng rng, Instant now);
  Core(const Core&) = delete;  // Commands under way borrow its options.
  Core& operator=(const Core&) = delete;

  // Facts. The caller has checked that the word comes from the node (registrar); bad content is answered by `standing`.
  void on_member(Instant now, std::string_view node, const IpAddress& addr, MemberStatus status, Outbox& out);
  /// What an operator wants of the node's server, from its tag.
  void on_wish(Instant now, std::string_view node, announce::Wish wish, Outbox& out);
  void on_announcement(Instant now, std::string_view node, const announce::Announcement& word, Outbox& out);
  void on_departure(Instant now, std::string_view node, const announce::Departure& word, Outbox& out);
  /// The cluster has been joined and every known task has had time to answer a solicit.
  void on_cluster_ready(Instant now, Outbox& out);

  /// A server of the last pool's file. Wanted in rotation once its place has answered, until its node speaks; one that
  /// gossip has not found when strays are looked at counts as failed.
  void remember(Instant now, const LastServer& server, Outbox& out);
  /// For that file: calls `visit(const LastServer&)` for each server that is wanted in rotation, and for those of
  /// failed members: whoever is cut off now and restarted serves from what still answers.
  template <typename Visit>
  void each_wanted(Visit&& visit) const {
    for (std::uint32_t i = 0; i < registry_.size(); ++i) {
      const Fact& fact = registry_[i];
      if (!fact.used || !fact.has_word) continue;
      const Wanted goal = wanted(fact, options_.policy, now_);
      const bool is_wanted = goal.goal == Goal::kInRotation || goal.goal == Goal::kUnverified;
      const bool is_ready = fact.word.state == announce::TaskState::kReady;
      if (is_wanted || (is_ready && is_kept(fact))) visit(to_last_server(fact));
    }
  }

  // The runtime sockets.
  void on_connected(Instant now, std::size_t proxy, haproxy::Stream stream, Outbox& out);
  void on_connect_failed(Instant now, std::size_t proxy, haproxy::Stream stream, std::string_view text,
                         bool nobody_listens, Outbox& out);
  void on_bytes(Instant now, std::size_t proxy, haproxy::Stream stream, Bytes bytes, Outbox& out);
  void on_closed(Instant now, std::size_t proxy, haproxy::Stream stream, Outbox& out);

  void on_verify_result(Instant now, std::uint32_t id, VerifyResult result, Outbox& out);
  void on_deadline(Instant now, Outbox& out);
  [[nodiscard]] Instant next_deadline() const;

  /// What this sidecar can say of that start of the node's server, over all its HAProxies.
  [[nodiscard]] announce::Standing standing(std::string_view node, const announce::Generation& generation) const;

  [[nodiscard]] std::size_t proxies() const { return proxies_.size(); }
  [[nodiscard]] bool proxy_up(std::size_t proxy) const { return proxies_[proxy].session.is_up(); }
  /// HAProxy answers there, or an old process of it may still have requests.
  [[nodiscard]] bool proxy_alive(std::size_t proxy) const {
    return proxy_up(proxy) || proxies_[proxy].session.has_old();
  }
  [[nodiscard]] const haproxy::RuntimeSession& session(std::size_t proxy) const { return proxies_[proxy].session; }
  /// When that HAProxy's whole table was last read and compared; kNever = not yet.
  [[nodiscard]] Instant compared_at(std::size_t proxy) const { return proxies_[proxy].compared_at; }
  [[nodiscard]] const ProxyCounts& proxy_counts(std::size_t proxy) const { return proxies_[proxy].counts; }
  /// Calls `visit(const ServerView&)` for each server of ours that is wanted or stands in HAProxy.
  template <typename Visit>
  void each_server(Instant now, Visit&& visit) const {
    for (std::size_t proxy = 0; proxy < proxies_.size(); ++proxy) {
      for (std::uint32_t i = 0; i < proxies_[proxy].table.size(); ++i) {
        const Server& server = proxies_[proxy].table[i];
        const bool is_memory = !server.observed.present && server.leaving == Leaving::kLetGo;
        if (server.used && !is_memory) visit(view_of(now, proxy, i));
      }
    }
  }
  [[nodiscard]] const Registry& registry() const { return registry_; }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Proxy {
    Proxy(const Options& options, std::size_t number, Rng rng, Instant now);
    haproxy::RuntimeSession session;
    ServerTable table;
    bool looked = false;  // The table has been read since the session came up.
    bool dirty = true;    // Something may want a step.
    Instant look_at;
    Instant compared_at = kNever;
    Instant plan_at = kNever;  // A step becomes possible by time alone.
    Instant batch_not_before;
    Instant drain_poll_at = kNever;
    Instant drain_quiet_until{};  // Not all again before.
    Duration drain_poll;
    std::uint32_t drain_cursor = 0;
    Duration check_poll;
    std::uint64_t pools_hash = 0;   // Of the last `show backend`.
    FixedVector<PoolShare> shares;  // By the servers' pool_number; of this plan, once one is asked to leave.
    bool has_shares = false;
    Instant old_at;  // When the servers of old processes are gone through again.
    bool level_told = false;
    bool gone = false;  // As `is_gone` said last.
    std::string_view fault_told;
    ProxyCounts counts;
  };

  void begin_input(Instant now, const Outbox& out);
  void pump(Instant now, Outbox& out);
  void take_changed_facts(Instant now);
  void fact_changed(Instant now, std::uint32_t index);
  void sweep_facts(Instant now);
  void give_up_remembered(Instant now);
  [[nodiscard]] static Instant verify_again_at(Instant now, const Fact& fact);
  [[nodiscard]] bool is_servable(const Fact& fact) const;
  [[nodiscard]] bool is_in_any_table(const Fact& fact) const;
  [[nodiscard]] bool is_kept(const Fact& fact) const;
  void verify_failed(std::uint32_t index, Outbox& out);

  // core_replies.cc: what HAProxy says.
  void take_session_events(Instant now, std::size_t proxy, Outbox& out);
  void take_up(Instant now, std::size_t proxy, const haproxy::SessionEvent& event, Outbox& out);
  void take_reply(Instant now, std::size_t proxy, const haproxy::SessionEvent& event, Outbox& out);
  void take_look(Instant now, std::size_t proxy, std::string_view reply, Outbox& out);
  void take_row(Instant now, std::size_t proxy, const haproxy::ServerRow& row, Outbox& out);
  [[nodiscard]] bool waits_for_a_check(const Proxy& proxy) const;
  void take_absence(Instant now, std::size_t proxy, std::uint32_t index);
  void take_counters(Proxy& proxy, std::size_t number, const haproxy::SessionEvent& event, Outbox& out);
  void take_step_reply(Instant now, std::size_t proxy, const haproxy::SessionEvent& event, Outbox& out);
  void refuse(Instant now, std::size_t proxy, Server& server, const haproxy::SessionEvent& event, Outbox& out);
  void note_transition(std::size_t proxy, Server& server, const Observed& before, Outbox& out);

  // core_old.cc: old processes.
  void take_retired(std::size_t proxy, const haproxy::SessionEvent& event, Outbox& out);
  void take_old_count(std::size_t proxy, const haproxy::SessionEvent& event, Outbox& out);
  void take_old_gone(std::size_t proxy, const haproxy::SessionEvent& event, Outbox& out);
  void old_place_ended(std::size_t proxy, const Server& server, Outbox& out);
  void watch_old(Instant now, Proxy& proxy);

  // core_steps.cc: what HAProxy is told.
  void act(Instant now, std::size_t proxy, Outbox& out);
  static constexpr std::size_t kCommandsOfAStepMax = 5;  // add, enable health, enable server, health down, weight.
  using StepCommands = InlineVector<haproxy::Command, kCommandsOfAStepMax>;
  [[nodiscard]] StepCommands commands_of(const Proxy& proxy, std::uint32_t index, const Wanted& goal, Step step) const;
  void say_step(Instant now, std::size_t proxy, std::uint32_t index, const Wanted& goal, Step step, Outbox& out);
  [[nodiscard]] bool plan_steps(Instant now, std::size_t proxy, Outbox& out);
  void add_step(Instant now, Proxy& proxy, std::uint32_t index, const Wanted& goal, Step step);
  [[nodiscard]] bool add_drain_polls(Instant now, Proxy& proxy, bool all_due);
  [[nodiscard]] bool is_claimed(const Server& server) const;
  [[nodiscard]] const haproxy::ServerOptions& options_of(const Server& server) const;
  [[nodiscard]] Wanted wanted_of(Instant now, const Server& server) const;
  [[nodiscard]] Duration backoff(Server& server, Duration first);
  [[nodiscard]] Instant strays_from() const;
  [[nodiscard]] Instant next_action(const Proxy& proxy) const;

  // core_floor.cc: who may leave rotation.
  [[nodiscard]] Wanted weigh(Instant now, std::size_t proxy, std::uint32_t index, const Wanted& goal, Outbox& out);
  [[nodiscard]] Wanted weigh_kept(Instant now, std::size_t proxy, std::uint32_t index, const Wanted& goal, Outbox& out);
  [[nodiscard]] Wanted weigh_let_go(Instant now, std::size_t proxy, std::uint32_t index, const Wanted& goal);
  [[nodiscard]] Wanted kept_as(const Server& server) const;
  void ask_first(Server& server);
  void ask_no_more(std::size_t proxy, Server& server, Outbox& out);
  void want_look(Instant now, std::size_t proxy, std::uint32_t index, Duration every);
  void count_shares(Instant now, Proxy& proxy);
  [[nodiscard]] PoolShare without(const Proxy& proxy, const Server& server) const;
  [[nodiscard]] bool counts_as_missing(Instant now, const Server& server, const Wanted& goal) const;
  [[nodiscard]] bool keeps_slot(Instant now, const Server& server, const Wanted& goal) const;
  [[nodiscard]] bool is_forgotten(Instant now, const Server& server) const;
  void start_looks(Instant now, Outbox& out);
  void take_look_result(Instant now, std::uint32_t id, VerifyResult result);
  [[nodiscard]] Endpoint place_of(const Server& server) const;

  // standing.cc: what the tasks are told.
  [[nodiscard]] const Server* find_server(const Proxy& proxy, const Fact& fact, std::string_view server,
                                          bool is_current) const;
  void explain(const Fact& fact, announce::Standing& standing) const;
  void explain_proxy(const Fact& fact, const Proxy& proxy, std::size_t number, const Server* server,
                     announce::Standing& standing) const;
  [[nodiscard]] bool is_gone(const Proxy& proxy) const;
  [[nodiscard]] ServerView view_of(Instant now, std::size_t proxy, std::uint32_t index) const;

  void log_event(Outbox& out, EventKind kind, std::size_t proxy, const Server* server, std::string_view text);
  void standing_changed(std::uint32_t fact);
  void all_standings_changed();
  void emit_standings(Outbox& out);

  Options options_;
  Rng rng_;
  Instant now_;
  Instant started_;
  Instant cluster_ready_at_ = kNever;
  Registry registry_;
  Verifier verifier_;
  Looks looks_;
  FixedVector<Proxy> proxies_;
  Instant facts_at_ = kNever;  // When a fact changes by time alone.
  FixedVector<std::uint32_t> standings_due_;
  bool pools_changed_ = false;
  bool has_remembered_ = false;
  Counts counts_;
};

}  // namespace shoal::sidecar
