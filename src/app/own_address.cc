#include "app/own_address.h"

#include <algorithm>

namespace shoal::app {
namespace {

Reach reach_of(const IpAddress& bound) {
  if (bound.is_unspecified() && !bound.is_v4()) return {.v4 = true, .v6 = true};
  return {.v4 = bound.is_v4(), .v6 = !bound.is_v4()};
}

bool leads_elsewhere(Reach reach, const IpAddress& addr) {
  return !addr.empty() && !addr.is_unspecified() && !addr.is_link_local() && !addr.is_loopback() && reach.takes(addr);
}

/// Bridges of container engines lead to nobody else's machine.
bool is_bridge(const reactor::Interface& one) {
  return one.name.starts_with("docker") || one.name.starts_with("br-") || one.name.starts_with("veth");
}

}  // namespace

Reach reach_of(const config::Config& config) {
  const Reach gossip = reach_of(config.gossip.bind.addr);
  if (config.role != config::Role::kTask) return gossip;
  const Reach service = reach_of(config.task.listen.addr);
  const Reach common{.v4 = gossip.v4 && service.v4, .v6 = gossip.v6 && service.v6};
  return common.v4 || common.v6 ? common : gossip;
}

IpAddress address_of_interface(const config::Advertise& wanted, Reach reach,
                               std::span<const reactor::Interface> interfaces) {
  for (const reactor::Interface& one : interfaces) {
    const bool match = wanted.kind == config::Advertise::Kind::kNetwork ? wanted.network.contains(one.addr)
                                                                        : one.name == wanted.interface_name;
    if (match && one.up && !one.addr.is_link_local() && reach.takes(one.addr)) return one.addr;
  }
  return {};
}

IpAddress choose_address(Reach reach, std::span<const IpAddress> towards_seeds,
                         std::span<const IpAddress> default_routes, std::span<const reactor::Interface> interfaces) {
  const auto usable = [&](const IpAddress& addr) { return leads_elsewhere(reach, addr); };
  const auto first_usable = [&](std::span<const IpAddress> all) {
    const auto found = std::find_if(all.begin(), all.end(), usable);
    return found == all.end() ? IpAddress{} : *found;
  };
  if (const IpAddress addr = first_usable(towards_seeds); !addr.empty()) return addr;
  for (const IpAddress& addr : towards_seeds) {
    if (addr.is_loopback() && reach.takes(addr)) return addr;  // The whole cluster is on this machine.
  }
  if (const IpAddress addr = first_usable(default_routes); !addr.empty()) return addr;
  IpAddress found;
  for (const reactor::Interface& one : interfaces) {
    if (!one.up || one.loopback || is_bridge(one) || !usable(one.addr)) continue;
    if (found.empty() || (!found.is_v4() && one.addr.is_v4())) found = one.addr;
  }
  return found;
}

}  // namespace shoal::app
