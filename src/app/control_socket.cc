#include "app/control_socket.h"

#include <charconv>

namespace shoal::app {
namespace {

constexpr std::string_view kAbstractStart = "@shoal/";
constexpr std::string_view kEnd = ".sock";

}  // namespace

std::vector<std::string> default_control_sockets(std::string_view role, std::uint16_t gossip_port) {
  const std::string name = std::string(role) + "-" + std::to_string(gossip_port);
  return {std::string(kControlDirectory) + "/" + name + std::string(kEnd), std::string(kAbstractStart) + name};
}

std::optional<ControlPlace> parse_control_socket(std::string_view socket) {
  std::string_view name = socket;
  const std::string start = std::string(kControlDirectory) + "/";
  if (name.substr(0, kAbstractStart.size()) == kAbstractStart) {
    name.remove_prefix(kAbstractStart.size());
  } else if (name.substr(0, start.size()) == start && name.size() > start.size() + kEnd.size() &&
             name.substr(name.size() - kEnd.size()) == kEnd) {
    name.remove_prefix(start.size());
    name.remove_suffix(kEnd.size());
  } else {
    return std::nullopt;
  }
  ControlPlace out{std::string(socket), {}, 0};
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  out.role = name.substr(0, dash);
  const std::string_view port = name.substr(dash + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.gossip_port);
  const bool whole = error == std::errc{} && end == port.data() + port.size() && !port.empty();
  if (!whole || (out.role != "sidecar" && out.role != "task")) return std::nullopt;
  return out;
}

}  // namespace shoal::app
