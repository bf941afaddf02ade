// The table of what can be asked of the control socket.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace shoal::admin {

enum class Method : std::uint8_t { kGet, kPost };

enum class Operation : std::uint8_t {
  kHealth,
  kReady,
  kStatus,
  kMembers,
  kKeysList,
  kKeysInstall,
  kKeysUse,
  kKeysRemove,
  kForceLeave,
  kEvent,
  kSteer,
};

struct Route {
  Method method;
  std::string_view path;
  Operation operation;
};

/// Every path once.
[[nodiscard]] std::span<const Route> routes();
/// By the exact path, without a query string; null when there is none. The method is the caller's to compare.
[[nodiscard]] const Route* find_route(std::string_view path);
/// The row of an operation, for the client.
[[nodiscard]] const Route& route_of(Operation operation);

[[nodiscard]] std::string_view to_text(Method method);

}  // namespace shoal::admin
