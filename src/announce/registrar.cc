#include "announce/registrar.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace shoal::announce {
namespace {

constexpr std::uint32_t kPushPullTokensMax = 10;
constexpr Duration kPushPullRefill = 6s;
constexpr Duration kTombstoneLife = 24h;

/// The same statement, its place in time aside.
bool same_content(const Announcement& a, const Announcement& b) {
  return a.port == b.port && a.pool == b.pool && a.state == b.state && a.weight == b.weight;
}

}  // namespace

Registrar::Registrar(const Options& options, Rng rng, Instant now)
    : options_(options),
      rng_(rng),
      now_(now),
      members_(options.members_max),
      waiting_(options.queries_max),
      held_(options.held_max),
      push_pull_refilled_(now),
      asking_(options.solicits_max),
      wanted_(options.members_max),
      wanted_urgent_(options.members_max),
      next_round_(now + rng_.jittered(options.solicit_interval)),
      tombstones_(options.tombstones_max) {}

void Registrar::tick(Instant now, const RegistrarOutbox& out) {
  SHOAL_ASSERT(out.empty());
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

bool Registrar::knows_well(std::string_view node) const {
  const std::uint32_t slot = members_.find(node);
  return slot != MemberTable::kNone && is_known_well(members_[slot]);
}

bool Registrar::is_refused_address(const IpAddress& address) const {
  const IpAddress plain = address.unmapped();
  return plain.empty() || plain.is_unspecified() || plain.is_multicast() || plain.is_link_local() ||
         (plain.is_loopback() && !options_.allow_loopback);
}

// --- members -----------------------------------------------------------------------------------------------------

void Registrar::on_member(Instant now, const MemberChange& member, RegistrarOutbox& out) {
  tick(now, out);
  std::uint32_t slot = members_.find(member.name);
  if (member.status == MemberStatus::kReaped) {
    if (slot != MemberTable::kNone) forget(now, slot, out);
    return;
  }
  if (slot == MemberTable::kNone) {
    if (member.name.empty() || member.name.size() > NodeName::capacity()) {
      ++counters_.members_refused;
      return;
    }
    slot = members_.add(member.name);
    if (slot == MemberTable::kNone) {
      ++counters_.members_refused;
      return;
    }
    members_[slot].status = MemberStatus::kReaped;  // Was not here: begins below.
    recall_tombstone(now, members_[slot]);
  }
  MemberRecord& record = members_[slot];
  const bool was_here = is_here(record.status);
  const bool is_now_here = is_here(member.status);
  const bool moved = record.gossip != member.gossip;
  const bool became_task = member.is_task && !record.is_task;
  // Suspicion breaks the quiet time by which a silent peer is believed.
  if (is_now_here && (record.status != MemberStatus::kAlive || moved)) record.alive_since = now;
  record.status = member.status;
  record.gossip = member.gossip;
  record.is_shoal = member.is_shoal;
  record.is_task = member.is_task;
  if (moved || !is_now_here) record.confirmed = false;
  if (was_here && !is_now_here) {
    record.ended = true;
    record.has_claim = false;
    stop_asking(slot);
  }
  if (is_now_here && (!was_here || moved || became_task) && record.is_task) want_solicit(slot, false);
  release_held(now, member.name, out);
  start_wanted_solicits(now, out);
}

void Registrar::forget(Instant now, std::uint32_t slot, RegistrarOutbox& out) {
  MemberRecord& record = members_[slot];
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    if (waiting_[i].member != slot) continue;
    const Waiting waiting = waiting_[i];
    waiting_.swap_erase(i);
    refuse(waiting.kind, waiting.ref, Reason::kRetry, "this node is no longer a member of the cluster", out);
  }
  if (record.has_statement && record.departed && tombstones_.capacity() > 0) {
    if (tombstones_.full()) tombstones_.pop();
    tombstones_.push({hash64(record.name.bytes()), record.said.generation, now + kTombstoneLife});
  }
  stop_asking(slot);
  unwant_solicit(slot);
  members_.remove(slot);
}

/// A replayed `alive` and a replayed `ready` must not bring back a start whose depart is remembered.
void Registrar::recall_tombstone(Instant now, MemberRecord& record) {
  const std::uint64_t hash = hash64(record.name.bytes());
  for (std::size_t i = 0; i < tombstones_.size(); ++i) {
    const Tombstone& tombstone = tombstones_[i];
    if (tombstone.name_hash != hash || tombstone.until <= now) continue;
    record.has_statement = true;
    record.departed = true;
    record.ended = true;
    record.said.generation = tombstone.generation;  // The newest comes last.
  }
}

// --- queries -----------------------------------------------------------------------------------------------------

void Registrar::on_query(Instant now, const Query& query, RegistrarOutbox& out) {
  tick(now, out);
  Kind kind = Kind::kAnnounce;
  if (query.name == kDepartQuery) {
    kind = Kind::kDepart;
  } else if (query.name != kAnnounceQuery) {
    ++counters_.unknown_query;
    return;
  }
  if (members_.find(query.source_node) == MemberTable::kNone) {
    hold(now, kind, query, out);
  } else {
    judge(now, kind, query.ref, query.source_node, query.source, query.payload, out);
  }
  start_wanted_solicits(now, out);
}

/// REQUIRES: `node` is a member.
void Registrar::judge(Instant now, Kind kind, std::uint64_t ref, std::string_view node, const Endpoint& source,
                      Bytes payload, RegistrarOutbox& out) {
  const std::uint32_t slot = members_.find(node);
  const MemberRecord& member = members_[slot];
  if (!same_place(source, member.gossip)) {
    ++counters_.refused_source;
    ReasonText text;
    (void)text.append("the query comes from ");
    (void)text.append(to_text(source));
    (void)text.append(", but this member's gossip address is ");
    (void)text.append(to_text(member.gossip));
    (void)text.append("; does another node use the same node.name?");
    return refuse(kind, ref, Reason::kRetry, text, out);  // The gossip may be a moment behind a move.
  }
  switch (kind) {
    case Kind::kAnnounce: return judge_announcement(now, ref, slot, payload, out);
    case Kind::kDepart: return judge_departure(now, ref, slot, payload, out);
  }
}

void Registrar::judge_announcement(Instant now, std::uint64_t ref, std::uint32_t slot, Bytes payload,
                                   RegistrarOutbox& out) {
  MemberRecord& member = members_[slot];
  if (!is_here(member.status)) {
    ++counters_.refused_not_alive;
    return refuse(Kind::kAnnounce, ref, Reason::kRetry, "the proxy's sidecar does not see this node as alive yet", out);
  }
  const std::optional<Announcement> said = decode_announcement(payload);
  if (!said) {
    ++counters_.refused_malformed;
    return refuse(Kind::kAnnounce, ref, Reason::kFix,
                  "the announcement cannot be read: a field is damaged, too long or out of range", out);
  }
  if (said->port == 0) {
    ++counters_.refused_port;
    return refuse(Kind::kAnnounce, ref, Reason::kFix,
                  "the announced port is 0; announce the port that the proxy must use", out);
  }
  if (is_refused_address(member.gossip.addr)) {
    ++counters_.refused_address;
    ReasonText text;
    (void)text.append(to_text(member.gossip.addr));
    (void)text.append(" is not an address that the proxy may be sent to; set gossip.advertise to one that it reaches");
    return refuse(Kind::kAnnounce, ref, Reason::kFix, text, out);
  }
  switch (freshness(member, *said)) {
    case Freshness::kNews: take(now, slot, *said, out); return wait_or_answer(now, Kind::kAnnounce, ref, slot, out);
    case Freshness::kRepeat:
      ++counters_.announces_repeated;
      if (member.has_claim) want_solicit(slot, true);
      // No word of what became of it: it may have been lost on the way. Saying it again changes nothing otherwise.
      if (!member.has_claim && member.confirmed && !member.standing_valid) forward(slot, out);
      return wait_or_answer(now, Kind::kAnnounce, ref, slot, out);
    case Freshness::kStale:
      ++counters_.stale;
      if (said->generation.start_id == member.said.generation.start_id) {
        return answer_as_it_stands(Kind::kAnnounce, ref, member, out);
      }
      // What stands is another start's. Which of the two lives, the member's own address tells.
      member.confirmed = false;
      want_solicit(slot, false);
      return refuse(Kind::kAnnounce, ref, Reason::kRetry, "a later start of this node is known; it is being asked",
                    out);
  }
}

void Registrar::judge_departure(Instant now, std::uint64_t ref, std::uint32_t slot, Bytes payload,
                                RegistrarOutbox& out) {
  MemberRecord& member = members_[slot];
  const std::optional<Departure> said = decode_departure(payload);
  if (!said) {
    ++counters_.refused_malformed;
    return refuse(Kind::kDepart, ref, Reason::kFix,
                  "the depart cannot be read: a field is damaged, too long or out of range", out);
  }
  switch (freshness(member, *said)) {
    case Freshness::kNews:
      ++counters_.departs_forwarded;
      member.has_statement = true;
      member.departed = !said->returns;
      member.returns = said->returns;
      member.has_claim = false;
      member.said.state = TaskState::kDeparting;
      member.said.generation = said->generation;
      member.standing_valid = false;
      out.add(ForwardDeparture{member.name, *said});
      return wait_or_answer(now, Kind::kDepart, ref, slot, out);
    case Freshness::kRepeat:
      ++counters_.departs_repeated;
      if (!member.standing_valid) out.add(ForwardDeparture{member.name, *said});
      return wait_or_answer(now, Kind::kDepart, ref, slot, out);
    case Freshness::kStale: ++counters_.stale; return answer_as_it_stands(Kind::kDepart, ref, member, out);
  }
}

/// Of a word from another start than the known one, or the first word of all; nothing when it is the known start's.
std::optional<Registrar::Freshness> Registrar::freshness_of_start(const MemberRecord& member,
                                                                  const Generation& said) const {
  if (!member.has_statement) return Freshness::kNews;
  const std::uint64_t known = member.said.generation.start_id;
  if (said.start_id == known) return std::nullopt;
  return said.start_id > known || member.ended || member.has_claim ? Freshness::kNews : Freshness::kStale;
}

Registrar::Freshness Registrar::freshness(const MemberRecord& member, const Announcement& said) const {
  if (const auto judged = freshness_of_start(member, said.generation)) return *judged;
  const Generation& known = member.said.generation;
  const Generation& now_said = said.generation;
  if (now_said.start_id == 0) {  // No order: the last word wins.
    const bool is_repeat = !member.departed && !member.ended && same_content(said, member.said);
    return is_repeat ? Freshness::kRepeat : Freshness::kNews;
  }
  if (member.departed || now_said.seq < known.seq) return Freshness::kStale;
  if (member.returns && now_said.seq == known.seq && !member.ended) return Freshness::kStale;
  if (now_said.seq > known.seq || member.ended) return Freshness::kNews;
  return Freshness::kRepeat;
}

Registrar::Freshness Registrar::freshness(const MemberRecord& member, const Departure& said) const {
  if (const auto judged = freshness_of_start(member, said.generation)) return *judged;
  const Generation& known = member.said.generation;
  const Generation& now_said = said.generation;
  if (member.departed) return Freshness::kRepeat;
  if (member.returns && said.returns && now_said.seq == known.seq) return Freshness::kRepeat;
  if (now_said.start_id == 0) return Freshness::kNews;
  return now_said.seq > known.seq ? Freshness::kNews : Freshness::kStale;
}

/// News from a member that is here. Forwarded now, or when its claim is confirmed.
void Registrar::take(Instant now, std::uint32_t slot, const Announcement& said, RegistrarOutbox& out) {
  MemberRecord& member = members_[slot];
  const bool is_other_start = !member.has_statement || member.said.generation.start_id != said.generation.start_id;
  if (is_other_start || member.ended) member.confirmed = false;
  member.has_statement = true;
  member.departed = false;
  member.returns = false;
  member.ended = false;
  member.said = said;
  member.standing_valid = false;
  if (member.confirmed) return forward(slot, out);
  if (!member.has_claim) member.claimed_at = now;
  member.has_claim = true;
  want_solicit(slot, true);
}

void Registrar::forward(std::uint32_t slot, RegistrarOutbox& out) {
  MemberRecord& member = members_[slot];
  ++counters_.announces_forwarded;
  member.has_claim = false;
  member.standing_valid = false;
  out.add(ForwardAnnouncement{member.name, member.gossip.addr, member.said});
}

// --- nodes that are not known yet --------------------------------------------------------------------------------

void Registrar::hold(Instant now, Kind kind, const Query& query, RegistrarOutbox& out) {
  Held held;
  const bool fits = !query.source_node.empty() && held.node.assign(query.source_node) &&
                    held.payload.assign(query.payload) && !held_.full();
  if (!fits) {
    ++counters_.refused_unknown;
    return refuse(kind, query.ref, Reason::kRetry, "the proxy's sidecar does not know this node as a member yet", out);
  }
  held.ref = query.ref;
  held.kind = kind;
  held.source = query.source;
  held.until = now + options_.hold_unknown;
  held_.push_back(held);
  ask_address(now, query.source, out);
}

void Registrar::ask_address(Instant now, const Endpoint& address, RegistrarOutbox& out) {
  const auto refills = static_cast<std::uint32_t>(
      std::min<std::int64_t>((now - push_pull_refilled_) / kPushPullRefill, std::int64_t{kPushPullTokensMax}));
  if (refills > 0) {
    push_pull_tokens_ = std::min(kPushPullTokensMax, push_pull_tokens_ + refills);
    push_pull_refilled_ = now;
  }
  for (std::size_t i = push_pulls_.size(); i-- > 0;) {
    if (push_pulls_[i].until <= now) push_pulls_.erase(i);
  }
  for (const PushPullUnderWay& under_way : push_pulls_) {
    if (same_host(under_way.with.addr, address.addr)) return;
  }
  if (push_pulls_.full() || push_pull_tokens_ == 0 || address.port == 0 || is_refused_address(address.addr)) return;
  --push_pull_tokens_;
  push_pulls_.push_back({address, now + options_.hold_unknown});
  out.add(PushPull{address});
}

/// The member has just become known: judge what was held for it.
void Registrar::release_held(Instant now, std::string_view node, RegistrarOutbox& out) {
  for (std::size_t i = 0; i < held_.size();) {
    if (held_[i].node != node) {
      ++i;
      continue;
    }
    const Held held = held_[i];
    held_.erase(i);
    judge(now, held.kind, held.ref, held.node, held.source, held.payload.view(), out);
  }
}

// --- time --------------------------------------------------------------------------------------------------------

void Registrar::on_deadline(Instant now, RegistrarOutbox& out) {
  tick(now, out);
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    if (now < waiting_[i].answer_by) continue;
    const Waiting waiting = waiting_[i];
    waiting_.swap_erase(i);
    answer_pending(waiting.kind, waiting.ref, members_[waiting.member], out);
  }
  for (std::size_t i = held_.size(); i-- > 0;) {
    if (now < held_[i].until) continue;
    ++counters_.refused_unknown;
    refuse(held_[i].kind, held_[i].ref, Reason::kRetry, "the proxy's sidecar does not know this node as a member yet",
           out);
    held_.erase(i);
  }
  go_on_asking(now, out);
  if (now >= next_round_) {
    next_round_ = now + rng_.jittered(options_.solicit_interval);
    want_all_not_known_well();
  }
  start_wanted_solicits(now, out);
}

Instant Registrar::next_deadline() const {
  Instant next = next_round_;
  for (const Waiting& waiting : waiting_) next = earlier(next, waiting.answer_by);
  for (const Held& held : held_) next = earlier(next, held.until);
  for (const Asking& asking : asking_) next = earlier(next, asking.next_try);
  return next;
}

}  // namespace shoal::announce
