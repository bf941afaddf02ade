#include "sidecar/verifier.h"

#include <algorithm>

#include "sidecar/looks.h"

namespace shoal::sidecar {

Verifier::Verifier(const VerifierOptions& options, std::size_t facts_max, Rng rng)
    : options_(options), rng_(rng), queue_(facts_max) {}

void Verifier::want(Instant now, Registry& registry, std::uint32_t index) {
  Fact& fact = registry[index];
  const bool may_try = fact.reach == Reach::kUnknown || (fact.reach == Reach::kFailed && now >= fact.reach_retry_at);
  // A full queue holds outdated entries too; the fact stays as it is and is wanted again at the next sweep.
  if (!may_try || queue_.full()) return;
  fact.reach = Reach::kQueued;
  queue_.push(index);
}

void Verifier::start(Instant now, Registry& registry, FixedVector<Verify>& out) {
  while (!queue_.empty() && !tries_.full() && !out.full()) {
    const std::uint32_t index = queue_.pop();
    Fact& fact = registry[index];
    if (!fact.used || fact.reach != Reach::kQueued) continue;  // Outdated.
    fact.reach = Reach::kTrying;
    const std::uint32_t id = next_id_++ & ~Looks::kIdBit;
    tries_.push_back(
        Try{id, index, fact.word.generation.start_id, fact.place(), now + options_.deadline + options_.answer_margin});
    out.push_back(Verify{id, fact.place(), options_.deadline});
  }
}

std::uint32_t Verifier::finish(Instant now, Registry& registry, std::size_t number, VerifyResult result) {
  const Try done = tries_[number];
  tries_.swap_erase(number);
  Fact& fact = registry[done.fact];
  const bool is_current = fact.used && fact.reach == Reach::kTrying && fact.place() == done.place &&
                          fact.word.generation.start_id == done.start_id;
  if (!is_current) return Registry::kNone;
  fact.reach_result = result;
  if (result == VerifyResult::kConnected) {
    fact.reach = Reach::kReached;
    fact.reach_failures = 0;
    return done.fact;
  }
  fact.reach = Reach::kFailed;
  const Duration wait = options_.backoff_min * (1 << std::min<std::uint32_t>(fact.reach_failures, 10));
  fact.reach_retry_at = now + rng_.jittered(std::min(wait, options_.backoff_max));
  ++fact.reach_failures;
  return done.fact;
}

std::uint32_t Verifier::on_result(Instant now, Registry& registry, std::uint32_t id, VerifyResult result) {
  for (std::size_t i = 0; i < tries_.size(); ++i) {
    if (tries_[i].id == id) return finish(now, registry, i, result);
  }
  return Registry::kNone;
}

std::uint32_t Verifier::on_deadline(Instant now, Registry& registry) {
  for (std::size_t i = 0; i < tries_.size(); ++i) {
    if (now >= tries_[i].until) return finish(now, registry, i, VerifyResult::kTimedOut);
  }
  return Registry::kNone;
}

Instant Verifier::next_deadline() const {
  Instant next = kNever;
  for (const Try& open : tries_) next = earlier(next, open.until);
  return next;
}

}  // namespace shoal::sidecar
