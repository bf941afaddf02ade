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
  // From another one each time: where the first ones hold every stream until they time out, the last has its turn too.
  const std::size_t first = rng_.below(std::uint64_t{options_.seeds});
  for (std::size_t i = 0; i < options_.seeds; ++i) {
    out.push_back({SeedEffect::Kind::kResolve, (first + i) % options_.seeds, {}});
  }
  next_round_ = now + rng_.jittered(contact_ ? options_.keep_interval : pause_);
  if (!contact_) pause_ = std::min(pause_ * 2, options_.retry_most);
}

void Seeds::on_resolved(Instant, std::size_t seed, std::span<const Endpoint> addresses, const Node& node,
                        Effects& out) {
  SHOAL_ASSERT(seed < options_.seeds);
  const std::size_t first = rng_.below(std::uint64_t{addresses.size()});
  for (std::size_t i = 0; i < addresses.size() && i < kAddressesMax; ++i) {
    const Endpoint& address = addresses[(first + i) % addresses.size()];
    if (out.full()) return;
    if (same_place(address, node.swim().self().endpoint())) continue;
    bool alive = false;
    for (const Slot slot : node.members().slots()) {
      const Member& member = node.members()[slot];
      alive = alive || (member.status == Status::kAlive && same_place(member.endpoint(), address));
    }
    if (!alive) out.push_back({SeedEffect::Kind::kJoin, seed, address});
  }
}

}  // namespace shoal::serf
