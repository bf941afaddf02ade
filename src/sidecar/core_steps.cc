// What HAProxy is told: from wanted and observed to one batch of commands.
#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "haproxy/versions.h"
#include "sidecar/core.h"

namespace shoal::sidecar {
namespace {

constexpr std::size_t kDrainPollsMax = 256;  // In one batch; the others have their turn in the next.
constexpr Duration kDrainPollPace = 1ms;     // For each, until all may be asked again.
constexpr Duration kSayMost = 10s;           // Solicits, their repetitions included, and the way back.
constexpr std::size_t kLookCommands = 2;     // show backend, show servers state.

}  // namespace

bool Core::is_claimed(const Server& server) const {
  if (server.fact == Registry::kNone) return false;
  const Fact& fact = registry_[server.fact];
  return fact.used && fact.has_word && !fact.name_taken && fact.server == server.name &&
         fact.word.pool == server.pool.view();
}

/// From when on a server that no task claims may be touched.
Instant Core::strays_from() const {
  if (cluster_ready_at_ == kNever) return kNever;
  // After a long time alone, too: those who have just been found again have to have their say.
  return std::max(started_ + options_.adoption_hold, cluster_ready_at_ + kSayMost);
}

Wanted Core::wanted_of(Instant now, const Server& server) const {
  if (is_claimed(server)) return wanted(registry_[server.fact], options_.policy, now);
  Wanted stray;
  // What its own task has replaced by a new start waits for nobody's word.
  const Instant from = server.superseded ? server.stray_since : strays_from();
  if (now < from) {
    stray.changes_at = from;
    return stray;
  }
  // As a failed one: out, kept for `grace` in case its task speaks after all, then deleted.
  const Instant since = std::max(from, server.stray_since == kNever ? from : server.stray_since);
  stray.ask = server.superseded ? Ask::kNothing : Ask::kFloor;
  stray.goal = now >= since + options_.policy.grace ? Goal::kAbsent : Goal::kOut;
  if (stray.goal == Goal::kOut) stray.changes_at = since + options_.policy.grace;
  return stray;
}

Duration Core::backoff(Server& server, Duration first) {
  const Duration wait = first * (1 << std::min<std::uint32_t>(server.refusals, 10));
  ++server.refusals;
  return rng_.jittered(std::min(wait, options_.refusal_backoff_max));
}

void Core::act(Instant now, std::size_t number, Outbox& out) {
  Proxy& proxy = proxies_[number];
  if (!proxy.session.can_begin() || now < proxy.batch_not_before) return;
  bool has_steps = false;
  if (proxy.looked && (proxy.dirty || now >= proxy.plan_at)) has_steps = plan_steps(now, number, out);
  const bool is_full_look = !proxy.looked || now >= proxy.look_at;
  haproxy::Command command;
  if (is_full_look) {
    command.kind = haproxy::CommandKind::kShowBackend;
    SHOAL_ASSERT(proxy.session.add(command));
  }
  if (is_full_look || has_steps) {
    command.kind = haproxy::CommandKind::kShowServersState;
    SHOAL_ASSERT(proxy.session.add(command));
    // Until its answer has been read; a batch that breaks off leaves the session down, and `looked` false.
    proxy.look_at = now + options_.reconcile_interval;
  }
  const bool all_due = is_full_look || now >= std::max(proxy.drain_poll_at, proxy.drain_quiet_until);
  const bool has_polls = (has_steps || all_due) && add_drain_polls(now, proxy, all_due);
  if (!has_steps && !is_full_look && !has_polls) return;
  ++counts_.batches;
  const std::size_t commands = options_.session.batch_commands_max - proxy.session.batch_room();
  counts_.commands += commands;
  proxy.counts.commands += commands;
  proxy.session.begin_batch(now, out.session(number));
}

/// True when the batch holds a step. Afterwards `plan_at` says when time alone makes another one possible.
bool Core::plan_steps(Instant now, std::size_t number, Outbox& out) {
  Proxy& proxy = proxies_[number];
  proxy.dirty = false;
  proxy.has_shares = false;
  proxy.plan_at = kNever;
  bool has_steps = false;
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    Server& server = proxy.table[i];
    if (!server.used) continue;
    const bool claimed = is_claimed(server);
    if (!claimed && server.fact != Registry::kNone) {  // Its task has another server by now.
      const Fact& fact = registry_[server.fact];
      server.superseded = fact.used && fact.has_word && !fact.name_taken;
      if (server.stray_since == kNever) server.stray_since = now;
    }
    const Wanted goal = weigh(now, number, i, wanted_of(now, server), out);
    const NextStep next =
        next_step(goal, claimed ? registry_[server.fact].place() : server.observed.address, server.observed, now);
    proxy.plan_at = earlier(proxy.plan_at, earlier(goal.changes_at, next.not_before));
    if (next.step == Step::kNone) {
      server.said_in_dry_run = 0;
      continue;
    }
    if (next.step == Step::kAdd && !proxy.table.may_have_pool(server.pool.view())) continue;  // The next look may have.
    if (options_.dry_run) {
      say_step(now, number, i, goal, next.step, out);
      continue;
    }
    if (server.retry_at != kNever && now < server.retry_at) {
      proxy.plan_at = earlier(proxy.plan_at, server.retry_at);
      continue;
    }
    if (proxy.session.batch_room() < kCommandsOfAStepMax + kLookCommands + kDrainPollsMax) {
      proxy.dirty = true;  // The rest follows in the next batch.
      break;
    }
    add_step(now, proxy, i, goal, next.step);
    has_steps = true;
  }
  return has_steps;
}

const haproxy::ServerOptions& Core::options_of(const Server& server) const {
  for (const PoolOptions& of_pool : options_.pool_options) {
    if (of_pool.pool == server.pool) return of_pool.server_options;
  }
  return options_.server_options;
}

void Core::add_step(Instant now, Proxy& proxy, std::uint32_t index, const Wanted& goal, Step step) {
  Server& server = proxy.table[index];
  // The same step again although HAProxy's row has not moved since: something undoes it or does not take it.
  server.retry_at = server.last_step == step ? now + backoff(server, options_.drain_poll_max) : kNever;
  server.last_step = step;
  server.step_batch = counts_.batches;
  const bool brings_in = step == Step::kAdd || step == Step::kBringUp || step == Step::kSetWeight;
  server.in_doubt = server.in_doubt || brings_in;
  if (brings_in) proxy.check_poll = options_.check_poll_min;
  for (const haproxy::Command& command : commands_of(proxy, index, goal, step)) {
    if (proxy.session.add(command)) continue;
    server.refused = haproxy::Outcome::kRefused;
    server.refusal.assign_cut("the command for HAProxy cannot be written: are haproxy.server_options too long?");
    server.retry_at = now + backoff(server, options_.refusal_backoff_min);
  }
  if (step != Step::kPurgeIdle) return;
  ++server.observed.delete_refusals;  // Next is a delete again.
  server.last_step = Step::kNone;
}

Core::StepCommands Core::commands_of(const Proxy& proxy, std::uint32_t index, const Wanted& goal, Step step) const {
  const Server& server = proxy.table[index];
  const haproxy::ServerOptions& server_options = options_of(server);
  StepCommands out;
  haproxy::Command command;
  command.tag = index;
  command.backend = server.pool;
  command.server = server.name;
  command.options = &server_options;
  const auto add = [&](haproxy::CommandKind kind) {
    command.kind = kind;
    out.push_back(command);
  };
  const auto set_weight = [&](std::uint16_t weight) {
    command.weight = weight;
    add(haproxy::CommandKind::kSetWeight);
  };
  const auto set_state = [&](haproxy::AdminState state) {
    command.state = state;
    add(haproxy::CommandKind::kSetState);
  };
  const bool has_check = step == Step::kAdd ? server_options.has_check() : server.observed.has_check;
  // One that HAProxy showed in rotation last passed its check already: a restarted HAProxy gets it back at once.
  const bool is_gated = options_.check_first && !server.was_in_rotation && has_check;
  const bool is_gated_by_add =
      is_gated && step == Step::kAdd &&
      haproxy::traits_of(proxy.session.info().version.view()).gate == haproxy::Gate::kInitState;
  switch (step) {
    case Step::kNone: break;
    case Step::kAdd:
      command.address = registry_[server.fact].place();
      command.id = server.wished_id();
      command.init_down = is_gated_by_add;
      add(haproxy::CommandKind::kAddServer);
      [[fallthrough]];
    case Step::kBringUp:
      if (has_check) add(haproxy::CommandKind::kEnableHealth);
      add(haproxy::CommandKind::kEnableServer);
      // Weight 0 until here, so that nothing comes in between.
      if (is_gated && !is_gated_by_add) add(haproxy::CommandKind::kSetHealthDown);
      set_weight(goal.weight);
      break;
    case Step::kSetWeight:
      if (is_gated && server.observed.weight == 0) {  // Cut off before the gate was shut.
        add(haproxy::CommandKind::kEnableHealth);
        add(haproxy::CommandKind::kSetHealthDown);
      }
      set_weight(goal.weight);
      break;
    case Step::kTakeOut:
      if (server.observed.weight > 0) set_weight(0);
      set_state(haproxy::AdminState::kMaint);
      break;
    case Step::kDrain:
      if (server.observed.weight > 0) set_weight(0);
      set_state(haproxy::AdminState::kDrain);
      break;
    case Step::kDelete: add(haproxy::CommandKind::kDelServer); break;
    case Step::kPurgeIdle:
      set_state(haproxy::AdminState::kDrain);
      set_state(haproxy::AdminState::kMaint);
      break;
  }
  return out;
}

/// haproxy.dry_run: what would be sent goes to the log, once for each change.
void Core::say_step(Instant now, std::size_t number, std::uint32_t index, const Wanted& goal, Step step, Outbox& out) {
  Proxy& proxy = proxies_[number];
  Server& server = proxy.table[index];
  FixedVector<WouldSend>& lines = out.would_send;
  const StepCommands commands = commands_of(proxy, index, goal, step);
  if (lines.capacity() - lines.size() < commands.size()) {
    proxy.plan_at = earlier(proxy.plan_at, now + options_.batch_gap);
    return;
  }
  const std::size_t before = lines.size();
  std::uint64_t mark = 1;
  for (const haproxy::Command& command : commands) {
    std::uint8_t memory[WouldSend::Text::capacity()];
    ByteWriter writer(memory);
    static_cast<void>(haproxy::encode(command, writer));
    std::string_view text = as_text(writer.written());
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    mark = hash64(as_bytes(text), mark);
    WouldSend& line = lines.emplace_back();
    line.proxy = static_cast<std::uint8_t>(number);
    line.text.assign_cut(text);
  }
  const bool is_said = std::exchange(server.said_in_dry_run, mark) == mark;
  while (is_said && lines.size() > before) lines.pop_back();
}

/// Asks for the counters of servers that this batch takes out and, with `all_due`, of all that are out and not seen
/// drained.
bool Core::add_drain_polls(Instant now, Proxy& proxy, bool all_due) {
  if (all_due) proxy.drain_poll_at = kNever;
  std::size_t polls = 0;
  const std::uint32_t size = proxy.table.size();
  for (std::uint32_t n = 0; n < size; ++n) {
    const std::uint32_t index = (proxy.drain_cursor + n) % size;
    const Server& server = proxy.table[index];
    if (!server.used || !server.observed.present || server.observed.drained || server.id == 0) continue;
    const bool goes_now = server.last_step == Step::kTakeOut && server.step_batch == counts_.batches;
    if (!goes_now && (!all_due || !server.observed.in_maintenance())) continue;
    const Goal goal = wanted_of(now, server).goal;
    const bool stays_out = goal == Goal::kOut || goal == Goal::kAbsent || goes_now ||
                           (server.observed.in_maintenance() && server.observed.weight == 0);
    if (!stays_out) continue;
    if (polls == kDrainPollsMax || proxy.session.batch_room() == 0) {
      proxy.drain_cursor = index;
      break;
    }
    haproxy::Command command;
    command.kind = haproxy::CommandKind::kShowStat;
    command.backend = server.pool;
    command.id = server.id;
    command.tag = index;
    if (proxy.session.add(command)) ++polls;
  }
  if (polls == 0) return false;
  // However many they are: so that a storm of departures costs HAProxy no more than a thousand questions a second.
  proxy.drain_quiet_until = std::max(proxy.drain_quiet_until, now) + kDrainPollPace * static_cast<int>(polls);
  proxy.drain_poll_at = earlier(proxy.drain_poll_at, now + proxy.drain_poll);
  proxy.drain_poll = std::min(proxy.drain_poll * 2, options_.drain_poll_max);
  return true;
}

/// When `act` has something to do if nothing else happens.
Instant Core::next_action(const Proxy& proxy) const {
  if (!proxy.session.can_begin()) return kNever;
  if (proxy.dirty || !proxy.looked) return proxy.batch_not_before;
  const Instant poll_at =
      proxy.drain_poll_at == kNever ? kNever : std::max(proxy.drain_poll_at, proxy.drain_quiet_until);
  const Instant next = earlier(proxy.look_at, earlier(proxy.plan_at, poll_at));
  return std::max(next, proxy.batch_not_before);
}

}  // namespace shoal::sidecar
