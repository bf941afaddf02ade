// Where the control socket is: the one rule for the shoal that listens and for the command that looks for it.
//
// A place that the operator named is the only one. Else /run/shoal/<role>-<gossip port>.sock; where that cannot be
// made, the abstract name @shoal/<role>-<gossip port>, which lives in the network namespace and where the peer's uid is
// checked on both sides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace shoal::app {

inline constexpr std::string_view kControlDirectory = "/run/shoal";

/// The default places in the order in which the server tries them.
[[nodiscard]] std::vector<std::string> default_control_sockets(std::string_view role, std::uint16_t gossip_port);

/// A socket that has the form of a default place.
struct ControlPlace {
  std::string socket;
  std::string role;
  std::uint16_t gossip_port = 0;
};
/// Reads "/run/shoal/task-7947.sock" and "@shoal/task-7947".
[[nodiscard]] std::optional<ControlPlace> parse_control_socket(std::string_view socket);

}  // namespace shoal::app
