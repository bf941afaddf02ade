#include "serf/seeds.h"

#include <algorithm>

namespace shoal::serf {

Seeds::Seeds(const SeedOptions& options, Rng rng) : options_(options), rng_(rng), pause_(options.retry_first) {
  SHOAL_ASSERT(options.seeds <= kSeedsMax);
}

void Seeds::on_contact(Instant now, bool known) {
  if (known == contact_ || options_.seeds == 0) return;
  contact_ = known;
  pause_ = options_.retry_first;
  next_round_ = now + rng_.jittered(known ? options_.keep_interval : pause_);
}

void Seeds::on_deadline(Instant now, Effects& out) {
  if (next_round_ > now) return;
  ++rounds_;
  for (std::size_t seed = 0; seed < options_.seeds; ++seed) out.push_back({SeedEffect::Kind::kResolve, seed, {}});
  next_round_ = now + rng_.jittered(contact_ ? options_.keep_interval : pause_);
  if (!contact_) pause_ = std::min(pause_ * 2, options_.retry_most);
}

void Seeds::on_resolved(Instant, std::size_t seed, std::span<const Endpoint> addresses, const Node& node,
                        Effects& out) {
  SHOAL_ASSERT(seed < options_.seeds);
  std::size_t taken = 0;
  for (const Endpoint& address : addresses) {
    if (++taken > kAddressesMax || out.full()) return;
    if (same_place(address, node.swim().self().endpoint)) continue;
    bool alive = false;
    for (const Slot slot : node.members().slots()) {
      const Member& member = node.members()[slot];
      alive = alive || (member.status == Status::kAlive && same_place(member.endpoint, address));
    }
    if (!alive) out.push_back({SeedEffect::Kind::kJoin, seed, address});
  }
}

}  // namespace shoal::serf
