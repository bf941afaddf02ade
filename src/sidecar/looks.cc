#include "sidecar/looks.h"

namespace shoal::sidecar {

Looks::Looks(std::size_t servers_max) : queue_(servers_max) {}

void Looks::want(Look& look, ServerRef ref) {
  if (look.state != Look::State::kIdle || queue_.full()) return;
  look.state = Look::State::kQueued;
  queue_.push(ref);
}

bool Looks::next(ServerRef& ref) {
  if (queue_.empty()) return false;
  ref = queue_.pop();
  return true;
}

void Looks::start(Instant now, Look& look, ServerRef ref, const Endpoint& place, FixedVector<Verify>& out) {
  const std::uint32_t id = (++last_id_) | kIdBit;
  look.state = Look::State::kTrying;
  look.try_id = id;
  tries_.push_back(Try{id, ref, now + kDeadline + kAnswerMargin});
  out.push_back(Verify{id, place, kDeadline});
}

bool Looks::take(std::uint32_t id, ServerRef& ref) {
  for (std::size_t i = 0; i < tries_.size(); ++i) {
    if (tries_[i].id != id) continue;
    ref = tries_[i].ref;
    tries_.swap_erase(i);
    return true;
  }
  return false;
}

std::uint32_t Looks::overdue(Instant now) const {
  for (const Try& open : tries_) {
    if (now >= open.until) return open.id;
  }
  return 0;
}

Instant Looks::next_deadline() const {
  Instant next = kNever;
  for (const Try& open : tries_) next = earlier(next, open.until);
  return next;
}

}  // namespace shoal::sidecar
