#include "app/own_address.h"

#include <doctest/doctest.h>

#include <vector>

using namespace shoal;
using namespace shoal::app;
using reactor::Interface;

namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

std::vector<IpAddress> ips(std::initializer_list<const char*> texts) {
  std::vector<IpAddress> out;
  for (const char* text : texts) out.push_back(ip(text));
  return out;
}

Interface interface(const char* name, const char* addr) {
  return {.name = name, .addr = ip(addr), .up = true, .loopback = false};
}

config::Config bound_to(config::Role role, const char* gossip, const char* service) {
  config::Config config;
  config.role = role;
  config.gossip.bind.addr = ip(gossip);
  config.task.listen.addr = ip(service);
  return config;
}

constexpr Reach kV4{.v4 = true, .v6 = false};
constexpr Reach kV6{.v4 = false, .v6 = true};
constexpr Reach kBoth{.v4 = true, .v6 = true};

}  // namespace

TEST_CASE("others reach a node in the families of gossip, and a task in those of its service socket too") {
  const auto reach = [](config::Role role, const char* gossip, const char* service) {
    const Reach found = reach_of(bound_to(role, gossip, service));
    return std::pair(found.v4, found.v6);
  };
  using config::Role;
  CHECK(reach(Role::kSidecar, "0.0.0.0", "::") == std::pair(true, false));
  CHECK(reach(Role::kSidecar, "::", "0.0.0.0") == std::pair(true, true));
  CHECK(reach(Role::kSidecar, "fd00::1", "0.0.0.0") == std::pair(false, true));
  CHECK(reach(Role::kTask, "::", "0.0.0.0") == std::pair(true, false));
  CHECK(reach(Role::kTask, "::", "[::]") == std::pair(true, true));
  CHECK(reach(Role::kTask, "0.0.0.0", "::") == std::pair(true, false));
  // No family serves both: gossip at least gets one of its own.
  CHECK(reach(Role::kTask, "fd00::1", "0.0.0.0") == std::pair(false, true));
}

TEST_CASE("of a seed with both families the way in a family that is bound counts") {
  const auto ways = ips({"2600::2", "10.0.0.2"});
  CHECK(choose_address(kV4, ways, {}, {}) == ip("10.0.0.2"));
  CHECK(choose_address(kBoth, ways, {}, {}) == ip("2600::2"));
  CHECK(choose_address(kV6, ways, {}, {}) == ip("2600::2"));
}

TEST_CASE("loopback is told only when every way to a seed is loopback") {
  CHECK(choose_address(kV4, ips({"127.0.0.1", "10.0.0.2"}), {}, {}) == ip("10.0.0.2"));
  CHECK(choose_address(kV4, ips({"127.0.0.1"}), ips({"10.0.0.2"}), {}) == ip("127.0.0.1"));
  CHECK(choose_address(kV4, ips({"::1"}), ips({"10.0.0.2"}), {}) == ip("10.0.0.2"));
}

TEST_CASE("without a seed that is known the default route of a family that is bound counts") {
  CHECK(choose_address(kV4, {}, ips({"10.0.0.2", "2600::2"}), {}) == ip("10.0.0.2"));
  CHECK(choose_address(kV6, {}, ips({"10.0.0.2", "2600::2"}), {}) == ip("2600::2"));
  // Its default route is in the other family: an interface has to do.
  const std::vector<Interface> all = {interface("eth0", "2600::2"), interface("eth1", "10.0.0.2")};
  CHECK(choose_address(kV4, {}, ips({"2600::2"}), all) == ip("10.0.0.2"));
}

TEST_CASE("the interfaces of the metadata endpoint and of container bridges are never told") {
  const std::vector<Interface> all = {
      {.name = "lo", .addr = ip("127.0.0.1"), .up = true, .loopback = true},
      interface("eth0", "169.254.172.2"),
      interface("docker0", "172.17.0.1"),
      interface("br-0a1b2c3d4e5f", "172.18.0.1"),
      {.name = "eth9", .addr = ip("10.9.0.2"), .up = false, .loopback = false},
      interface("eth1", "fe80::2"),
      interface("eth1", "2600::2"),
      interface("eth1", "10.0.0.2"),
  };
  CHECK(choose_address(kV4, {}, ips({"169.254.172.2"}), all) == ip("10.0.0.2"));
  CHECK(choose_address(kBoth, {}, {}, all) == ip("10.0.0.2"));
  CHECK(choose_address(kV6, {}, {}, all) == ip("2600::2"));
  CHECK(choose_address(kV4, {}, {}, std::span(all).first(5)).empty());
}

TEST_CASE("an interface that is named gives its address in a family that is bound") {
  const std::vector<Interface> all = {interface("eth0", "169.254.172.2"), interface("eth1", "10.0.0.2"),
                                      interface("eth1", "2600::2")};
  config::Advertise wanted;
  wanted.kind = config::Advertise::Kind::kInterface;
  wanted.interface_name = "eth1";
  CHECK(address_of_interface(wanted, kV4, all) == ip("10.0.0.2"));
  CHECK(address_of_interface(wanted, kV6, all) == ip("2600::2"));
  wanted.interface_name = "eth0";
  CHECK(address_of_interface(wanted, kV4, all).empty());
  wanted.kind = config::Advertise::Kind::kNetwork;
  wanted.network = *Cidr::parse("2600::/16");
  CHECK(address_of_interface(wanted, kBoth, all) == ip("2600::2"));
  CHECK(address_of_interface(wanted, kV4, all).empty());
}
