#include "announce/announcer.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace shoal::announce {
namespace {

constexpr Duration kQueryTimeout = 5s;
// By datagram at 0, 0.5, 1.5 and 3.5 s. The wait after the last one lets a sidecar's `pending`, which comes after 4 s,
// arrive before TCP is tried.
constexpr Duration kDatagramWaits[] = {500ms, 1s, 2s, 2s};
constexpr std::uint32_t kDatagramTries = 4;
constexpr Duration kRouteWait = 5s;
constexpr Duration kCycleWaitMax = 30s;
constexpr Duration kCycleWaitMaxDeparting = 2s;  // A stop has no time for more.
constexpr std::size_t kPushPullsMax = 4;
constexpr Duration kPushPullBusyWait = 1s;
constexpr Duration kSendFailedWait = 250ms;

constexpr Duration kPendingMin = 250ms;
constexpr Duration kPendingMax = 2s;
constexpr Duration kRetryMin = 1s;
constexpr Duration kRetryMax = 10s;
constexpr Duration kFixWait = 30s;
constexpr Duration kDepartMin = 50ms;
constexpr Duration kDepartMax = 500ms;

constexpr std::uint32_t kTriesOfOthers = 3;  // Departs to a peer that is not shoal: it will never say `drained`.
constexpr Duration kWaitOfOthers = 500ms;
constexpr Duration kRecentFailure = 60s;          // A sidecar that failed longer ago counts no more at all ...
constexpr Duration kFailedCounts = 10s;           // ... one that failed since counts this long.
constexpr std::uint32_t kProxiesBelieved = 1024;  // A number from the network, to be added up.
constexpr Duration kSuccessorWait = 2s;           // Between two looks for a successor at a failed sidecar's address.

Duration grown(Duration from, Duration to, std::uint32_t steps) {
  Duration wait = from;
  for (std::uint32_t i = 0; i < steps && wait < to; ++i) wait *= 2;
  return std::min(wait, to);
}

std::uint64_t refusal_hash(Reason reason, std::string_view text) {
  return hash64(as_bytes(text), static_cast<std::uint64_t>(reason) + 1) | 1;  // Never 0, which means none.
}

}  // namespace

Announcer::Announcer(const Options& options, Rng rng, Instant now)
    : options_(options), rng_(rng), now_(now), sidecars_(options.sidecars_max) {
  what_.state = TaskState::kUnready;
  what_.generation.start_id = options.start_id;
}

void Announcer::tick(Instant now, const AnnouncerOutbox& out) {
  SHOAL_ASSERT(out.empty());
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

Announcer::Sidecar* Announcer::find(std::string_view name) {
  for (Sidecar& sidecar : sidecars_) {
    if (sidecar.name == name) return &sidecar;
  }
  return nullptr;
}

// --- members -----------------------------------------------------------------------------------------------------

Announcer::Sidecar* Announcer::make_room_for(std::string_view name, AnnouncerOutbox& out) {
  NodeName fits;
  if (!fits.assign(name)) {
    ++counters_.sidecars_refused;
    return nullptr;
  }
  if (sidecars_.full()) {
    Sidecar* oldest = nullptr;
    for (Sidecar& sidecar : sidecars_) {
      if (is_here(sidecar.status)) continue;
      if (oldest == nullptr || sidecar.status_since < oldest->status_since) oldest = &sidecar;
    }
    if (oldest == nullptr) {
      ++counters_.sidecars_refused;
      out.add(SidecarTableFull{fits});
      return nullptr;
    }
    lost_one_ = lost_one_ || (oldest->had_us && !oldest->drained);
    sidecars_.swap_erase(static_cast<std::size_t>(oldest - sidecars_.begin()));
  }
  Sidecar& sidecar = sidecars_.emplace_back();
  sidecar.name = fits;
  return &sidecar;
}

void Announcer::on_sidecar(Instant now, std::string_view name, const Endpoint& gossip, MemberStatus status,
                           bool is_shoal, AnnouncerOutbox& out) {
  tick(now, out);
  Sidecar* sidecar = find(name);
  if (sidecar == nullptr) {
    if (!is_here(status)) return;
    sidecar = make_room_for(name, out);
    if (sidecar == nullptr) return;
    sidecar->status = MemberStatus::kReaped;  // Was not here: begins below.
  }
  const bool was_here = is_here(sidecar->status);
  const bool moved = sidecar->gossip != gossip;
  if (sidecar->status != status) sidecar->status_since = now;
  sidecar->status = status;
  sidecar->gossip = gossip;
  sidecar->is_shoal = is_shoal;
  if (status == MemberStatus::kReaped) {
    lost_one_ = lost_one_ || (sidecar->had_us && !sidecar->drained);
    sidecars_.swap_erase(static_cast<std::size_t>(sidecar - sidecars_.begin()));
  } else if (is_here(status) && (!was_here || moved)) {
    // Another life of it, or none: after a false alarm its HAProxy still has us. Until it says `drained`, it counts.
    if (moved) sidecar->had_us = false;
    sidecar->starts_with_tcp = false;
    sidecar->answered_at = kNever;
    sidecar->proxies_in_rotation = 0;
    begin(now, *sidecar, out);
  } else if (!is_here(status) && was_here) {
    sidecar->accepted = false;
    sidecar->next_try = statement_ == Statement::kDeparting && still_counts(now, *sidecar) ? now : kNever;
  }
  notice_no_sidecar(out);
  judge_drain(now, out);
}

void Announcer::notice_no_sidecar(AnnouncerOutbox& out) {
  if (sidecars_here() > 0) {
    no_sidecar_told_ = false;
  } else if (statement_ == Statement::kReady && !no_sidecar_told_) {
    no_sidecar_told_ = true;
    out.add(NoSidecar{});
  }
}

// --- what is said ------------------------------------------------------------------------------------------------

void Announcer::set_ready(Instant now, const Announcement& what, AnnouncerOutbox& out) {
  tick(now, out);
  if (statement_ == Statement::kDeparting && !returns_) return;
  const bool same = statement_ == Statement::kReady && what_.port == what.port && what_.pool == what.pool &&
                    what_.weight == what.weight;
  if (same) return;
  what_.port = what.port;
  what_.pool = what.pool;
  what_.weight = what.weight;
  what_.state = TaskState::kReady;
  statement_ = Statement::kReady;
  was_announced_ = true;
  say(now, out);
  notice_no_sidecar(out);
}

void Announcer::set_unready(Instant now, AnnouncerOutbox& out) {
  tick(now, out);
  if (statement_ != Statement::kReady) return;
  what_.state = TaskState::kUnready;
  statement_ = Statement::kUnready;
  say(now, out);
}

void Announcer::repeat(Instant now, AnnouncerOutbox& out) {
  tick(now, out);
  if (was_announced_) say(now, out);
}

void Announcer::depart(Instant now, Duration timeout, AnnouncerOutbox& out, bool returns) {
  tick(now, out);
  if (statement_ == Statement::kDeparting && (returns || !returns_)) return;
  // In a solicit's answer "departing" is the last word of a start.
  what_.state = returns ? TaskState::kUnready : TaskState::kDeparting;
  statement_ = Statement::kDeparting;
  returns_ = returns;
  all_drained_ = false;
  departing_since_ = now;
  depart_timeout_ = timeout;
  say(now, out);
  judge_drain(now, out);
}

void Announcer::say(Instant now, AnnouncerOutbox& out) {
  ++what_.generation.seq;
  for (Sidecar& sidecar : sidecars_) {
    if (is_here(sidecar.status)) {
      begin(now, sidecar, out);
    } else if (statement_ == Statement::kDeparting && still_counts(now, sidecar)) {
      sidecar.next_try = now;
    }
  }
}

/// The present statement to this sidecar, from the first try.
void Announcer::begin(Instant now, Sidecar& sidecar, AnnouncerOutbox& out) {
  sidecar.accepted = false;
  sidecar.drained = false;
  sidecar.gave_up = false;
  sidecar.in_flight.reset();
  sidecar.unanswered = 0;
  sidecar.tries = 0;
  sidecar.backoff_steps = 0;
  sidecar.last_refusal = 0;
  sidecar.asked.clear();
  sidecar.answered = Answered::kNothing;
  sidecar.next_try = kNever;
  if (was_announced_) ask(now, sidecar, out);
}

// --- asking ------------------------------------------------------------------------------------------------------

Route Announcer::route_of(const Sidecar& sidecar) const {
  // A failed one is only asked for the sake of its successor, whom the push/pull makes known.
  if (!is_here(sidecar.status)) return Route::kPushPullThenUdp;
  std::uint32_t step = sidecar.unanswered;
  if (sidecar.starts_with_tcp) step += kDatagramTries;
  if (step < kDatagramTries) return Route::kDirectUdp;
  step -= kDatagramTries;
  constexpr Route kOthers[] = {Route::kDirectTcp, Route::kPushPullThenUdp, Route::kBroadcast, Route::kDirectUdp};
  constexpr Route kShoal[] = {Route::kDirectTcp, Route::kDirectUdp};
  return sidecar.is_shoal ? kShoal[step % std::size(kShoal)] : kOthers[step % std::size(kOthers)];
}

/// How long to wait for an answer to the try that has just been made.
Duration Announcer::wait_of(const Sidecar& sidecar) const {
  if (!is_here(sidecar.status)) return kSuccessorWait;
  const bool departing = statement_ == Statement::kDeparting;
  if (departing && !sidecar.is_shoal) return kWaitOfOthers;
  std::uint32_t step = sidecar.unanswered;
  if (sidecar.starts_with_tcp) step += kDatagramTries;
  if (step < kDatagramTries) return kDatagramWaits[step];
  const std::uint32_t first_round = sidecar.is_shoal ? 2 : 3;
  step -= kDatagramTries;
  const Duration wait = step < first_round ? kRouteWait : grown(kRouteWait, kCycleWaitMax, step - first_round + 1);
  return departing ? std::min(wait, kCycleWaitMaxDeparting) : wait;
}

std::size_t Announcer::push_pulls_under_way(Instant now) const {
  std::size_t count = 0;
  for (const Sidecar& sidecar : sidecars_) {
    if (sidecar.asked.empty() || sidecar.next_try == kNever || sidecar.next_try <= now) continue;
    if (sidecar.unanswered > 0 && sidecar.asked[sidecar.asked.size() - 1].route == Route::kPushPullThenUdp) ++count;
  }
  return count;
}

void Announcer::ask(Instant now, Sidecar& sidecar, AnnouncerOutbox& out) {
  const Route route = route_of(sidecar);
  if (route == Route::kPushPullThenUdp && push_pulls_under_way(now) >= kPushPullsMax) {
    sidecar.next_try = now + rng_.jittered(kPushPullBusyWait);
    return;
  }
  SendQuery query;
  query.token = next_token_++;
  query.sidecar = sidecar.name;
  query.to = sidecar.gossip;
  query.timeout = kQueryTimeout;
  query.route = route;
  if (statement_ == Statement::kDeparting) {
    Departure departure;
    departure.port = what_.port;
    departure.pool = what_.pool;
    departure.timeout_seconds =
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(depart_timeout_).count());
    departure.generation = what_.generation;
    departure.returns = returns_;
    query.query = kDepartQuery;
    query.payload = out.encode(departure);
  } else {
    query.query = kAnnounceQuery;
    query.payload = out.encode(what_);
  }
  sidecar.next_try = now + rng_.jittered(wait_of(sidecar));
  // The datagrams and the TCP connection of this round are used up. A drain has its own words for that.
  if (sidecar.unanswered == kDatagramTries + 1 && statement_ != Statement::kDeparting && is_here(sidecar.status)) {
    out.add(NoAnswer{sidecar.name, sidecar.gossip});
  }
  ++sidecar.unanswered;
  ++sidecar.tries;
  if (sidecar.asked.full()) sidecar.asked.erase(0);
  sidecar.asked.push_back({query.token, route});
  ++counters_.queries_sent;
  out.add(query);
}

void Announcer::on_deadline(Instant now, AnnouncerOutbox& out) {
  tick(now, out);
  for (Sidecar& sidecar : sidecars_) {
    if (now < sidecar.next_try) continue;
    const bool departing = statement_ == Statement::kDeparting;
    const bool is_over = departing && is_here(sidecar.status) && !sidecar.is_shoal && sidecar.tries >= kTriesOfOthers;
    if (is_over) {
      sidecar.gave_up = true;
      sidecar.next_try = kNever;
      out.add(NotDrained{sidecar.name, NotDrained::Why::kNeverAnswers});
    } else if (departing && !is_here(sidecar.status) && !still_counts(now, sidecar)) {
      sidecar.next_try = kNever;
    } else {
      ask(now, sidecar, out);
    }
  }
  judge_drain(now, out);
}

void Announcer::on_send_failed(Instant now, std::uint64_t token, AnnouncerOutbox& out) {
  tick(now, out);
  for (Sidecar& sidecar : sidecars_) {
    if (sidecar.asked.empty() || sidecar.asked[sidecar.asked.size() - 1].token != token) continue;
    // Only on the first way down the ladder: behind it the waits are what keeps a dead address cheap.
    if (sidecar.unanswered <= kDatagramTries + 3) {
      sidecar.next_try = earlier(sidecar.next_try, now + rng_.jittered(kSendFailedWait));
    }
    return;
  }
}

Instant Announcer::next_deadline() const {
  Instant next = kNever;
  for (const Sidecar& sidecar : sidecars_) {
    next = earlier(next, sidecar.next_try);
    const bool is_counted_out =
        statement_ == Statement::kDeparting && !all_drained_ && !is_here(sidecar.status) && still_counts(now_, sidecar);
    if (is_counted_out) next = earlier(next, counts_until(sidecar));
  }
  return next;
}

// --- answers -----------------------------------------------------------------------------------------------------

void Announcer::on_response(Instant now, std::uint64_t token, std::string_view from, Bytes payload,
                            AnnouncerOutbox& out) {
  tick(now, out);
  Sidecar* sidecar = find(from);
  const Asked* asked = nullptr;
  if (sidecar != nullptr) {
    for (const Asked& a : sidecar->asked) {
      if (a.token == token) asked = &a;
    }
  }
  if (asked == nullptr) {
    ++counters_.answers_unexpected;
    return;
  }
  if (asked->route == Route::kDirectTcp) sidecar->starts_with_tcp = true;
  if (asked->route == Route::kDirectUdp) sidecar->starts_with_tcp = false;
  if (statement_ == Statement::kDeparting) {
    const std::optional<DepartAnswer> answer = decode_depart_answer(payload);
    if (!answer) {
      ++counters_.answers_malformed;
      return;
    }
    sidecar->unanswered = 0;
    on_depart_answer(now, *sidecar, *answer, out);
    judge_drain(now, out);
  } else {
    const std::optional<AnnounceAnswer> answer = decode_announce_answer(payload);
    if (!answer) {
      ++counters_.answers_malformed;
      return;
    }
    sidecar->unanswered = 0;
    on_announce_answer(now, *sidecar, *answer, out);
  }
}

/// For those who look. The numbers of a Go peer are all 0.
template <typename AnyAnswer>
void Announcer::keep(Instant now, Sidecar& sidecar, const AnyAnswer& answer) {
  sidecar.answered_at = now;
  sidecar.answered = answer.accepted ? Answered::kAccepted : answer.pending ? Answered::kPending : Answered::kRefused;
  sidecar.reason = answer.accepted ? Reason::kNone : answer.reason;
  sidecar.reason_text = answer.accepted ? ReasonText() : answer.reason_text;
  if (!answer.server.empty()) sidecar.server = answer.server;
  sidecar.proxies_up = answer.proxies_up;
  sidecar.proxies_total = answer.proxies_total;
}

void Announcer::on_announce_answer(Instant now, Sidecar& sidecar, const AnnounceAnswer& answer, AnnouncerOutbox& out) {
  keep(now, sidecar, answer);
  // One that tells no number: all that are up, when it has accepted; a Go sidecar has one.
  const std::uint32_t untold = answer.accepted ? std::max(answer.proxies_up, 1U) : 0;
  const std::uint32_t told = std::min(answer.proxies_in_rotation, kProxiesBelieved);
  sidecar.proxies_in_rotation = told > 0 ? told : statement_ == Statement::kReady ? untold : 0;
  if (answer.accepted) {
    sidecar.next_try = kNever;
    sidecar.backoff_steps = 0;
    sidecar.last_refusal = 0;
    sidecar.asked.clear();
    if (sidecar.accepted) return;
    sidecar.accepted = true;
    if (statement_ == Statement::kReady) {
      sidecar.had_us = true;
      was_accepted_ = true;
    }
    out.add(Accepted{sidecar.name, answer.server, answer.proxies_up, answer.proxies_total});
    return;
  }
  // A late `pending` of an earlier try says less than the acceptance that has come meanwhile; but that clears `asked`,
  // so what arrives here is the newest word.
  sidecar.accepted = false;
  if (answer.pending) {
    const std::uint64_t hash = answer.reason_text.empty() ? 0 : refusal_hash(Reason::kNone, answer.reason_text);
    if (hash != 0 && sidecar.last_refusal != hash) out.add(Pending{sidecar.name, answer.reason_text});
    sidecar.last_refusal = hash;
    ask_again_in(now, sidecar, grown(kPendingMin, kPendingMax, sidecar.backoff_steps));
    return;
  }
  refused(now, sidecar, answer.reason, answer.reason_text, out);
}

void Announcer::on_depart_answer(Instant now, Sidecar& sidecar, const DepartAnswer& answer, AnnouncerOutbox& out) {
  if (sidecar.drained) return;
  keep(now, sidecar, answer);
  sidecar.in_flight = answer.in_flight;
  if (answer.drained) sidecar.answered = Answered::kDrained;
  if (answer.accepted && !sidecar.accepted) {
    sidecar.accepted = true;
    sidecar.backoff_steps = 0;
    if (!answer.drained) out.add(Departed{sidecar.name, answer.in_flight});
  }
  if (answer.drained) {
    sidecar.drained = true;
    sidecar.next_try = kNever;
    out.add(Drained{sidecar.name});
    return;
  }
  if (!answer.accepted && !answer.pending) {
    const std::uint64_t hash = refusal_hash(answer.reason, answer.reason_text);
    if (sidecar.last_refusal != hash) {
      sidecar.last_refusal = hash;
      out.add(Refused{sidecar.name, answer.reason, answer.reason_text, kDepartMax});
    }
  }
  // A peer that is not shoal keeps to its three tries, whatever it answers.
  const Duration wait = sidecar.is_shoal ? grown(kDepartMin, kDepartMax, sidecar.backoff_steps) : kWaitOfOthers;
  ask_again_in(now, sidecar, wait);
}

void Announcer::refused(Instant now, Sidecar& sidecar, Reason reason, const ReasonText& text, AnnouncerOutbox& out) {
  const std::uint64_t hash = refusal_hash(reason, text);
  const bool is_news = sidecar.last_refusal != hash;
  if (is_news) sidecar.backoff_steps = 0;
  sidecar.last_refusal = hash;
  const Duration wait = reason == Reason::kFix ? kFixWait : grown(kRetryMin, kRetryMax, sidecar.backoff_steps);
  ask_again_in(now, sidecar, wait);
  if (is_news) out.add(Refused{sidecar.name, reason, text, sidecar.next_try - now});
}

void Announcer::ask_again_in(Instant now, Sidecar& sidecar, Duration wait) {
  ++sidecar.backoff_steps;
  sidecar.next_try = now + rng_.jittered(wait);
}

void Announcer::on_solicit(Instant now, std::uint64_t query_ref, std::string_view from, Bytes payload,
                           AnnouncerOutbox& out) {
  tick(now, out);
  const std::optional<Solicitation> solicitation = decode_solicitation(payload);
  if (!solicitation) {
    ++counters_.solicits_malformed;
    return;
  }
  Announcement answer = what_;
  answer.nonce = solicitation->nonce;
  out.add(AnswerSolicit{query_ref, out.encode(answer)});
  Sidecar* sidecar = find(from);
  // See the header. `accepted` stays as it is until the sidecar has said otherwise: nothing is known to be wrong yet.
  const bool has_forgotten_us = sidecar != nullptr && sidecar->is_shoal && is_here(sidecar->status) &&
                                sidecar->accepted && statement_ == Statement::kReady && sidecar->next_try == kNever;
  if (has_forgotten_us) {
    sidecar->unanswered = 0;
    sidecar->backoff_steps = 0;
    ask(now, *sidecar, out);
  }
}

// --- who looks ---------------------------------------------------------------------------------------------------

void Announcer::confirm(Instant now, Instant since, AnnouncerOutbox& out) {
  tick(now, out);
  if (statement_ != Statement::kReady) return;
  for (Sidecar& sidecar : sidecars_) {
    // With an unanswered question it is being asked, at the ladder's own pace.
    const bool is_asked = sidecar.unanswered > 0;
    const bool has_said = sidecar.answered_at != kNever && sidecar.answered_at >= since;
    if (is_here(sidecar.status) && !is_asked && !has_said) ask(now, sidecar, out);
  }
}

bool Announcer::is_confirmed(Instant since) const {
  if (statement_ != Statement::kReady) return true;
  return std::all_of(sidecars_.begin(), sidecars_.end(), [&](const Sidecar& s) {
    return !is_here(s.status) || (s.answered_at != kNever && s.answered_at >= since);
  });
}

std::uint32_t Announcer::proxies_in_rotation(Instant since) const {
  if (statement_ == Statement::kDeparting) return 0;
  std::uint32_t count = 0;
  for (const Sidecar& s : sidecars_) {
    if (is_here(s.status) && s.answered_at != kNever && s.answered_at >= since) count += s.proxies_in_rotation;
  }
  return count;
}

Announcer::SidecarView Announcer::view_of(const Sidecar& sidecar) {
  SidecarView view;
  view.name = sidecar.name;
  view.gossip = sidecar.gossip;
  view.status = sidecar.status;
  view.answered = sidecar.answered;
  view.reason = sidecar.reason;
  view.reason_text = sidecar.reason_text;
  view.server = sidecar.server;
  view.proxies_up = sidecar.proxies_up;
  view.proxies_total = sidecar.proxies_total;
  view.proxies_in_rotation = sidecar.proxies_in_rotation;
  view.in_flight = sidecar.in_flight.value_or(0);
  view.answered_at = sidecar.answered_at;
  view.unanswered = sidecar.unanswered;
  return view;
}

// --- the drain ---------------------------------------------------------------------------------------------------

Instant Announcer::counts_until(const Sidecar& sidecar) const {
  return std::max(departing_since_, sidecar.status_since) + kFailedCounts;
}

/// Whether the drain waits for this sidecar. REQUIRES: departing.
bool Announcer::still_counts(Instant now, const Sidecar& sidecar) const {
  if (!was_announced_ || sidecar.drained || sidecar.gave_up) return false;
  if (is_here(sidecar.status)) return true;
  if (sidecar.status != MemberStatus::kFailed || !sidecar.had_us) return false;
  const bool failed_lately = departing_since_ - sidecar.status_since < kRecentFailure;
  return failed_lately && now < counts_until(sidecar);
}

Announcer::Drain Announcer::drain() const {
  if (statement_ != Statement::kDeparting) return Drain::kNotAsked;
  if (all_drained_) return Drain::kDone;
  bool somebody_had_us = lost_one_;
  for (const Sidecar& sidecar : sidecars_) {
    if (still_counts(now_, sidecar)) return Drain::kWaiting;
    somebody_had_us = somebody_had_us || (sidecar.had_us && !sidecar.drained);
  }
  if (sidecars_here() == 0 && somebody_had_us) return Drain::kUnreachable;
  return Drain::kDone;
}

void Announcer::judge_drain(Instant now, AnnouncerOutbox& out) {
  if (statement_ != Statement::kDeparting || all_drained_) return;
  for (Sidecar& sidecar : sidecars_) {
    if (sidecar.drained || sidecar.gave_up || is_here(sidecar.status) || still_counts(now, sidecar)) continue;
    if (!sidecar.had_us) continue;
    sidecar.gave_up = true;
    sidecar.next_try = kNever;
    const bool has_left = sidecar.status == MemberStatus::kLeft;
    out.add(NotDrained{sidecar.name, has_left ? NotDrained::Why::kLeft : NotDrained::Why::kFailed});
  }
  if (drain() != Drain::kDone) return;
  all_drained_ = true;
  bool confirmed = true;
  for (const Sidecar& sidecar : sidecars_) {
    if (was_announced_ && is_here(sidecar.status) && !sidecar.drained) confirmed = false;
  }
  out.add(AllDrained{confirmed});
}

std::size_t Announcer::sidecars_here() const {
  return static_cast<std::size_t>(
      std::count_if(sidecars_.begin(), sidecars_.end(), [](const Sidecar& s) { return is_here(s.status); }));
}

Announcer::InFlight Announcer::in_flight() const {
  InFlight out;
  for (const Sidecar& sidecar : sidecars_) {
    if (!still_counts(now_, sidecar)) continue;
    out.requests += sidecar.in_flight.value_or(0);
    if (!sidecar.in_flight) ++out.sidecars_silent;
  }
  return out;
}

std::size_t Announcer::sidecars_accepted() const {
  return static_cast<std::size_t>(std::count_if(sidecars_.begin(), sidecars_.end(),
                                                [](const Sidecar& s) { return is_here(s.status) && s.accepted; }));
}

}  // namespace shoal::announce
