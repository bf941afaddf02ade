#include "sim/checkers.h"

#include <algorithm>

namespace shoal::test {
namespace {

using serf::MemberEventKind;
using serf::Status;
using swim::State;

constexpr Duration kReconnectMost = 38s;  // serf's 30 s, jittered.
constexpr std::uint32_t kEventsAMinuteMax = 24;

std::string text(std::string_view a, std::string_view b) { return std::string(a) + " " + std::string(b); }

/// Whether any life of that name was ever asked to leave.
bool ever_left(const Cluster& cluster, std::string_view name) {
  return std::any_of(cluster.lives().begin(), cluster.lives().end(),
                     [name](const Life& life) { return life.name == name && life.leave_asked != kNever; });
}

bool had_earlier_life(const Cluster& cluster, const Life& latest) {
  return std::any_of(cluster.lives().begin(), cluster.lives().end(),
                     [&latest](const Life& life) { return life.name == latest.name && &life != &latest; });
}

/// Whether all agree, of each that is gone, whether it left or failed.
bool gone_alike(const Cluster& cluster) {
  for (const Life& life : cluster.lives()) {
    bool left = false, failed = false;
    for (std::size_t viewer = 0; viewer < cluster.size(); ++viewer) {
      if (!cluster.running(viewer) || cluster.node(viewer).leaving()) continue;
      const Status status = cluster.status(viewer, life.name);
      left = left || status == Status::kLeft;
      failed = failed || status == Status::kFailed;
    }
    if (left && failed) return false;
  }
  return true;
}

}  // namespace

Bounds::Bounds(const swim::Timing& t, std::size_t members, Duration keep_interval) {
  const auto n = static_cast<std::int64_t>(members);
  suspicion_max = swim::suspicion_min(t, members) * t.suspicion_max_mult;
  // Round robin over a list that is shuffled anew: the wait for one member is 2n - 1 probes at most. The last of them
  // may be by a node whose awareness is at its worst.
  round = t.probe_interval * (2 * n - 1) + t.probe_interval * t.awareness_max;
  // Gossip takes seconds; what it misses comes by a push/pull. Each node asks a random one every interval; three
  // intervals, since the first may ask somebody who has not heard either, and the second be refused for its load.
  const Duration push_pull = swim::push_pull_scaled(t.push_pull_interval, members);
  spread = push_pull * 3 + t.tcp_timeout;
  // A suspicion begins with a probe that was under way, lasts, and its end is told; a push/pull may bring it once more.
  settle = t.probe_interval * t.awareness_max + suspicion_max + spread;
  converge = settle;
  converge += round + suspicion_max;                         // A crash at the last moment is noticed.
  converge += 4 * (keep_interval * 5 / 4 + kReconnectMost);  // Two parts find each other: by a seed, or by serf's
                                                             // reconnect, each by chance; four tries.
  converge += t.gossip_to_the_dead + round;                  // A name that moved is refused until it is forgotten,
  converge += spread;                                        // which is noticed when the probe list wraps.
}

// ---- Never back

void MonotonicChecker::on_start(Cluster&, std::size_t node) { viewers_.erase(node); }

void MonotonicChecker::on_second(Cluster& cluster) {
  for (std::size_t node = 0; node < cluster.size() && !cluster.failed(); node += one_in_) {
    if (cluster.running(node)) look(cluster, node, viewers_[node]);
  }
}

void MonotonicChecker::look(Cluster& cluster, std::size_t node, Viewer& viewer) {
  const serf::Node& core = cluster.node(node);
  const auto clock = [&](std::uint64_t& before, std::uint64_t now, std::string_view what) {
    if (now < before) cluster.fail(text(core.name(), what) + " went back");
    before = now;
  };
  clock(viewer.clock, core.clock(), "its member clock");
  clock(viewer.event_clock, core.event_clock(), "its event clock");
  clock(viewer.query_clock, core.query_clock(), "its query clock");
  const swim::Members& members = core.swim().members();
  const bool full = members.size() == members.capacity();
  const Instant now = cluster.local(node);  // Its own, which may have jumped: it forgets by that (seed 510028).
  ++viewer.round;
  for (const Slot slot : members.slots()) {
    const swim::Record& record = members[slot];
    Seen& seen = viewer.seen[std::string(record.name.view())];
    // A record that was forgotten meanwhile may be learned anew from somebody who is behind; one that had left may come
    // back from another address with a fresh counter.
    const bool known = seen.round + 1 == viewer.round && seen.round != 0;
    const bool may_have_been_forgotten =
        seen.gone_since != kNever && (full || now - seen.gone_since + 2s > cluster.options().timing.gossip_to_the_dead);
    const bool moved = seen.endpoint != record.endpoint();
    if (known && !moved && !may_have_been_forgotten && record.incarnation < seen.incarnation) {
      cluster.fail("incarnation of " + text(record.name.view(), "went back from ") + std::to_string(seen.incarnation) +
                   " to " + std::to_string(record.incarnation) + " at " + std::string(core.name()));
    }
    if (!record.gone()) seen.gone_since = kNever;
    if (record.gone() && seen.gone_since == kNever) seen.gone_since = now;
    seen.incarnation = record.incarnation;
    seen.endpoint = record.endpoint();
    seen.round = viewer.round;
  }
}

// ---- True verdicts

void VerdictChecker::on_member_event(Cluster& cluster, std::size_t node, MemberEventKind kind, std::string_view about) {
  if (kind != MemberEventKind::kFailed && kind != MemberEventKind::kLeave && kind != MemberEventKind::kLeaving) return;
  const Life* life = cluster.life_of(about);
  const std::string said =
      std::string(cluster.life(node).name) + " says " + std::string(serf::to_text(kind)) + " of " + std::string(about);
  if (life == nullptr) return cluster.fail(said + ", whom nobody ever started");
  if (kind != MemberEventKind::kFailed) {
    if (!ever_left(cluster, about)) cluster.fail(said + ", who did not leave");
    return;
  }
  if (life->ended != kNever || life->leave_asked != kNever) return;
  const Instant now = cluster.now();
  // After a restart the verdict may be about the life before; under another address that life has to be forgotten
  // first.
  if (now - life->started < (had_earlier_life(cluster, *life) ? bounds_.converge : bounds_.settle)) return;
  const auto healthy = [&](std::size_t n) { return now - cluster.last_trouble(n) > bounds_.settle; };
  if (!healthy(node) || !healthy(life->node)) return;
  if (cluster.network().loss_ppm > kLossBornePpm || now - bad_network_until <= bounds_.settle) return;
  // The accusations of nodes in trouble can convince a healthy one where the accused, by chance, does not hear of them
  // in time: Lifeguard makes that rare, not impossible. Judged while no more than a quarter are in trouble; where each
  // tells a refutation four times alone, among more than it can probe in a suspicion (the local profile, from ten
  // members on), while nobody is: one member in fifty misses it (seed 500585).
  std::size_t started = 0, well = 0;
  for (std::size_t n = 0; n < cluster.size(); ++n) {
    if (!cluster.started(n)) continue;
    ++started;
    if (healthy(n)) ++well;
  }
  const std::uint32_t copies = swim::retransmit_limit(cluster.options().timing.retransmit_mult, started);
  const bool many_miss_it = copies <= 4 && started >= 10;
  if (many_miss_it ? well < started : 4 * well < 3 * started) return;
  cluster.fail(said + ", who is well and has been");
}

// ---- Two layers, one story

void LayersChecker::on_second(Cluster& cluster) {
  for (std::size_t node = seconds_++ % one_in_; node < cluster.size(); node += one_in_) {
    if (!cluster.running(node)) continue;
    const serf::Node& core = cluster.node(node);
    const swim::Members& records = core.swim().members();
    for (const Slot slot : core.members().slots()) {
      const serf::Member& member = core.members()[slot];
      const Slot at = records.find(member.name.view());
      const bool gone = at == kNoSlot || records[at].gone();
      const bool failed_or_left = member.status == Status::kFailed || member.status == Status::kLeft;
      const bool wrong = (member.status == Status::kAlive && gone) || (failed_or_left && !gone);
      if (wrong) {
        return cluster.fail(std::string(core.name()) + " has " +
                            text(member.name.view(), serf::to_text(member.status)) + " above and " +
                            (at == kNoSlot ? "nothing" : std::string(to_text(records[at].state))) + " below");
      }
    }
    if (core.leaving()) continue;  // Who has left may be pushed out of a full table, its own too.
    const serf::Member* self = core.members().get(core.name());
    if (self == nullptr) return cluster.fail(std::string(core.name()) + " has forgotten itself");
    if (self->status != Status::kAlive || core.swim().self().state != State::kAlive) {
      return cluster.fail(std::string(core.name()) + " holds itself for " + std::string(to_text(self->status)));
    }
  }
}

// ---- Bounded work

void RateChecker::on_member_event(Cluster& cluster, std::size_t node, MemberEventKind kind, std::string_view about) {
  std::uint32_t& count = traffic_[node].events[std::string(about)];
  if (++count <= kEventsAMinuteMax) return;
  cluster.fail("a storm of events at " + text(cluster.life(node).name, "about ") + std::string(about) + ", the last " +
               std::string(serf::to_text(kind)));
}

void RateChecker::on_second(Cluster& cluster) {
  const swim::Timing& t = cluster.options().timing;
  // Own budget a second: gossip (four times as often while leaving), one probe with its helpers, and the same again
  // once, since a tick may come early or a pause put two seconds into one.
  const auto gossips = static_cast<std::uint64_t>(Duration(1s) / t.gossip_interval);
  const std::uint64_t own = 2 * (gossips * t.gossip_nodes * 4 + 2 + t.indirect_checks);
  const bool new_minute = ++seconds_ % 60 == 0;
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    if (!cluster.running(node)) continue;
    Traffic& traffic = traffic_[node];
    if (new_minute) traffic.events.clear();
    const auto life = static_cast<std::size_t>(&cluster.life(node) - cluster.lives().data());
    if (traffic.life != life) traffic = Traffic{life, 0, 0, {}};
    const std::uint64_t out = cluster.datagrams_out(node) - traffic.out;
    const std::uint64_t in = cluster.datagrams_in(node) - traffic.in;
    traffic.out = cluster.datagrams_out(node);
    traffic.in = cluster.datagrams_in(node);
    // An answer each, and for an indirect ping a ping and later an ack or nack; a second's worth of late nacks.
    if (out > 3 * in + own) {
      cluster.fail(text(cluster.life(node).name, "sent ") + std::to_string(out) + " datagrams in a second and got " +
                   std::to_string(in));
    }
    const std::size_t queued = cluster.node(node).swim().queue().size();
    if (queued > cluster.lives().size() + 2) {  // One for each name that ever was, and a refutation.
      cluster.fail(text(cluster.life(node).name, "queues ") + std::to_string(queued) + " messages");
    }
  }
}

// ---- All of them

Checkers::Checkers(Cluster& cluster, std::uint32_t packets_one_in, std::size_t views_one_in)
    : bounds_(cluster.options().timing, cluster.size(), cluster.options().keep_interval),
      packets_(packets_one_in),
      monotonic_(views_one_in),
      verdicts_(bounds_),
      layers_(views_one_in),
      rates_(bounds_) {
  cluster.observe(packets_);
  cluster.observe(monotonic_);
  cluster.observe(verdicts_);
  cluster.observe(layers_);
  cluster.observe(rates_);
}

void Checkers::note_loss(const Cluster& cluster) { verdicts_.bad_network_until = cluster.now(); }

std::string Checkers::wrong_view(const Cluster& cluster) {
  for (std::size_t viewer = 0; viewer < cluster.size(); ++viewer) {
    if (!cluster.running(viewer) || cluster.node(viewer).leaving()) continue;
    const serf::Node& core = cluster.node(viewer);
    for (const Life& life : cluster.lives()) {
      if (cluster.life_of(life.name) != &life) continue;
      const Status status = cluster.status(viewer, life.name);
      const auto wrong = [&](std::string_view what) {
        return std::string(core.name()) + " has " + text(life.name, serf::to_text(status)) + ": " + std::string(what);
      };
      const bool runs = life.ended == kNever && life.leave_asked == kNever;
      if (runs) {
        if (status != Status::kAlive) return wrong("it runs");
        const serf::Member& member = *core.members().get(life.name);
        if (member.endpoint() != Cluster::address(life.address)) return wrong("it is elsewhere");
        if (!same_bytes(member.meta(), life.meta)) return wrong("its tags are others");
        continue;
      }
      if (status == Status::kAlive || status == Status::kLeaving) return wrong("it is gone");
      if (status == Status::kFailed && life.left && life.leave_was_calm) return wrong("it left");
      if (status == Status::kLeft && !ever_left(cluster, life.name)) return wrong("it never left");
    }
    for (const Slot slot : core.members().slots()) {
      const std::string_view name = core.members()[slot].name.view();
      if (cluster.life_of(name) == nullptr) return std::string(core.name()) + " knows " + std::string(name);
    }
  }
  return {};
}

void Checkers::expect_convergence(Cluster& cluster) {
  std::string wrong;
  const bool right = cluster.run_until_every(500ms, bounds_.converge, [&] {
    wrong = wrong_view(cluster);
    return wrong.empty();
  });
  if (!right) cluster.fail("no agreement in " + std::to_string(to_ms(bounds_.converge)) + " ms: " + wrong);
}

void Checkers::expect_quiet(Cluster& cluster, Duration span) {
  // Of a leave in the middle of trouble some may have heard, to the others it is a failure: that evens out by
  // push/pulls alone, from one to the next, which no few intervals are enough for (seed 501630).
  static_cast<void>(cluster.run_until_every(1s, bounds_.converge, [&cluster] { return gone_alike(cluster); }));
  // What has just been said is still on its way; a push/pull of somebody who was behind starts it once more.
  cluster.run_for(bounds_.spread);
  if (cluster.failed()) return;
  std::size_t running = 0;
  for (std::size_t node = 0; node < cluster.size(); ++node) running += cluster.running(node) ? 1U : 0U;
  const std::uint64_t events = cluster.events_count - cluster.reaped_count;
  const std::uint64_t packets = cluster.packets;
  cluster.run_for(span);
  if (cluster.failed()) return;
  if (cluster.events_count - cluster.reaped_count != events) cluster.fail("events in a cluster at rest");
  const double seconds = static_cast<double>(to_ms(span)) / 1000.0;
  const double rate = static_cast<double>(cluster.packets - packets) / seconds / static_cast<double>(running);
  const double probes = 1e9 / static_cast<double>(cluster.options().timing.probe_interval.count());
  // A ping and an ack for each probe, and a little more: a slow answer by chance, a stranger's push/pull.
  if (running > 1 && rate > 2.5 * probes + 0.5) {
    cluster.fail("a cluster at rest sends " + std::to_string(rate) + " datagrams a member and second");
  }
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    if (!cluster.running(node) || cluster.node(node).leaving()) continue;
    // Alone, there is nobody to tell.
    if (running > 1 && (!cluster.node(node).swim().queue().empty() || cluster.node(node).queued() > 0)) {
      cluster.fail(text(cluster.life(node).name, "still has news to tell in a cluster at rest"));
    }
  }
}

}  // namespace shoal::test
