// Whom the registrar asks to announce, and what it makes of the answers.
#include <algorithm>

#include "announce/registrar.h"
#include "base/check.h"

namespace shoal::announce {
namespace {

// Three tries by datagram, one by TCP, one after a push/pull (its query clock may lag by more than 512, gossip-protocol
// section 5.6; only a peer that is not shoal minds). Then the next round asks again.
struct Try {
  Route route;
  Duration wait;
};
constexpr Try kTries[] = {{Route::kDirectUdp, 500ms},
                          {Route::kDirectUdp, 1s},
                          {Route::kDirectUdp, 2s},
                          {Route::kDirectTcp, 3s},
                          {Route::kPushPullThenUdp, 3s}};
constexpr std::uint32_t kTriesShoal = 4;
constexpr std::uint32_t kTriesOther = 5;

}  // namespace

bool Registrar::is_known_well(const MemberRecord& member) {
  return member.has_statement && !member.ended && !member.has_claim && (member.confirmed || member.departed);
}

bool Registrar::is_asking(std::uint32_t slot) const {
  return std::any_of(asking_.begin(), asking_.end(), [slot](const Asking& a) { return a.member == slot; });
}

void Registrar::want_solicit(std::uint32_t slot, bool urgent) {
  MemberRecord& member = members_[slot];
  // A claim may be in both queues: the second one to be reached finds it done.
  bool& is_wanted = urgent ? member.solicit_wanted_urgent : member.solicit_wanted;
  if (is_wanted || is_asking(slot)) return;
  is_wanted = true;
  (urgent ? wanted_urgent_ : wanted_).push(slot);  // Room for every member once.
}

/// A forgotten member's slot may be another's soon.
void Registrar::unwant_solicit(std::uint32_t slot) {
  MemberRecord& member = members_[slot];
  if (!member.solicit_wanted && !member.solicit_wanted_urgent) return;
  member.solicit_wanted = false;
  member.solicit_wanted_urgent = false;
  for (Ring<std::uint32_t>* const queue : {&wanted_, &wanted_urgent_}) {
    for (std::size_t left = queue->size(); left > 0; --left) {
      const std::uint32_t wanted = queue->pop();
      if (wanted != slot) queue->push(wanted);
    }
  }
}

void Registrar::start_wanted_solicits(Instant now, RegistrarOutbox& out) {
  for (;;) {
    // Half of the room is for claims alone: a full round of solicits must not delay a new task.
    const bool is_urgent = !wanted_urgent_.empty();
    const std::size_t room = is_urgent ? asking_.capacity() : asking_.capacity() / 2;
    if (asking_.size() >= room || (!is_urgent && wanted_.empty())) return;
    const std::uint32_t slot = is_urgent ? wanted_urgent_.pop() : wanted_.pop();
    MemberRecord& member = members_[slot];
    (is_urgent ? member.solicit_wanted_urgent : member.solicit_wanted) = false;
    if (is_asking(slot)) continue;
    const bool has_reason = member.has_claim || (member.is_task && !is_known_well(member));
    if (!is_here(member.status) || !has_reason || is_refused_address(member.gossip.addr)) continue;
    Asking& asking = asking_.emplace_back();
    asking.member = slot;
    asking.nonce = rng_.next() | 1;  // 0 means none.
    solicit(now, asking, out);
  }
}

/// The next try of this solicit.
void Registrar::solicit(Instant now, Asking& asking, RegistrarOutbox& out) {
  const MemberRecord& member = members_[asking.member];
  const Try& next = kTries[asking.tries];
  ++asking.tries;
  asking.next_try = now + rng_.jittered(next.wait);
  asking.tokens.push_back(next_token_);
  out.add(Solicit{next_token_++, member.name, member.gossip, out.encode(Solicitation{asking.nonce}), next.route});
}

void Registrar::go_on_asking(Instant now, RegistrarOutbox& out) {
  for (std::size_t i = asking_.size(); i-- > 0;) {
    if (now < asking_[i].next_try) continue;
    const std::uint32_t slot = asking_[i].member;
    const MemberRecord& member = members_[slot];
    const bool is_quiet_peer = member.has_claim && !member.is_shoal && member.status == MemberStatus::kAlive &&
                               now - std::max(member.claimed_at, member.alive_since) >= options_.quiet_peer_after;
    if (is_quiet_peer) {
      ++counters_.claims_by_silence;
      asking_.swap_erase(i);
      members_[slot].confirmed = true;
      forward(slot, out);
    } else if (asking_[i].tries < (member.is_shoal ? kTriesShoal : kTriesOther)) {
      solicit(now, asking_[i], out);
    } else {
      asking_.swap_erase(i);
    }
  }
}

void Registrar::stop_asking(std::uint32_t slot) {
  for (std::size_t i = asking_.size(); i-- > 0;) {
    if (asking_[i].member == slot) asking_.swap_erase(i);
  }
}

void Registrar::want_all_not_known_well() {
  for (std::uint32_t slot = 0; slot < members_.slots(); ++slot) {
    const MemberRecord& member = members_[slot];
    if (member.name.empty() || !is_here(member.status)) continue;
    if (member.has_claim || (member.is_task && !is_known_well(member))) want_solicit(slot, member.has_claim);
  }
}

void Registrar::on_solicit_answer(Instant now, std::uint64_t token, std::string_view from, Bytes payload,
                                  RegistrarOutbox& out) {
  tick(now, out);
  std::size_t index = 0;
  for (; index < asking_.size(); ++index) {
    const auto& tokens = asking_[index].tokens;
    if (std::find(tokens.begin(), tokens.end(), token) != tokens.end()) break;
  }
  if (index == asking_.size()) {
    ++counters_.solicit_answers_unexpected;
    return;
  }
  const std::uint32_t slot = asking_[index].member;
  MemberRecord& member = members_[slot];
  const std::optional<Announcement> said = decode_announcement(payload);
  const bool is_own =
      member.name == from && said.has_value() && (!member.is_shoal || said->nonce == asking_[index].nonce);
  if (!is_own) {  // Asked on: the right one may still come.
    ++counters_.solicit_answers_bad;
    return;
  }
  asking_.swap_erase(index);
  take_solicited(now, slot, *said, out);
  start_wanted_solicits(now, out);
}

/// The member has answered at its own address, so whatever it says or has said is confirmed.
void Registrar::take_solicited(Instant now, std::uint32_t slot, const Announcement& said, RegistrarOutbox& out) {
  MemberRecord& member = members_[slot];
  // With our nonce, from its own address: the start that it names is the one that lives.
  const bool is_other_start = said.nonce != 0 && said.port != 0 && member.has_statement &&
                              said.generation.start_id != member.said.generation.start_id;
  if (is_other_start) member.ended = true;
  // Port 0: it has nothing to announce yet. That says nothing about an announcement that came meanwhile.
  const bool is_news = said.port != 0 && freshness(member, said) == Freshness::kNews;
  if (is_news) take(now, slot, said, out);
  if (!member.has_statement || member.departed || member.ended) return;
  const bool same_start = said.port == 0 || said.generation.start_id == member.said.generation.start_id;
  if (!same_start) return;  // An older start of it answered: not the one that claims.
  if (!member.confirmed) ++counters_.claims_confirmed;
  member.confirmed = true;
  // The nonce goes on with the statement: it shows the sidecar core that a repeated one was said in this life of the
  // member, and is no replay of what it said before it failed.
  if (said.nonce != 0) member.said.nonce = said.nonce;
  if (member.has_claim) forward(slot, out);
}

}  // namespace shoal::announce
