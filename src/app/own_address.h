// Which of this host's addresses the others are told (gossip.advertise): those that they can use. A host has many: a
// Fargate task's first interface leads to the metadata endpoint alone, Docker's bridge to containers alone, and one in
// a family that nothing here is bound to leads nowhere.
#pragma once

#include <span>

#include "config/config.h"
#include "reactor/system.h"

namespace shoal::app {

/// The families in which the others can come to us.
struct Reach {
  bool v4 = false;
  bool v6 = false;
  [[nodiscard]] bool takes(const IpAddress& addr) const { return addr.is_v4() ? v4 : v6; }
};
/// What gossip is bound to; for a task only what the service socket takes too, since a proxy connects to the same
/// address.
[[nodiscard]] Reach reach_of(const config::Config& config);

/// The first address of an interface that is up and fits what was set: its name, or a network. Empty when there is
/// none.
[[nodiscard]] IpAddress address_of_interface(const config::Advertise& wanted, Reach reach,
                                             std::span<const reactor::Interface> interfaces);

/// For `auto`: the address on the way to a seed, else on a default route, else of an interface that leads to other
/// machines. Loopback only when all the ways to seeds are loopback. Empty when there is none.
[[nodiscard]] IpAddress choose_address(Reach reach, std::span<const IpAddress> towards_seeds,
                                       std::span<const IpAddress> default_routes,
                                       std::span<const reactor::Interface> interfaces);

}  // namespace shoal::app
