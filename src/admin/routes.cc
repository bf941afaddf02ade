#include "admin/routes.h"

#include <array>

#include "base/check.h"

namespace shoal::admin {
namespace {

constexpr std::array kRoutes = {
    Route{Method::kGet, "/v1/health", Operation::kHealth},
    Route{Method::kGet, "/v1/ready", Operation::kReady},
    Route{Method::kGet, "/v1/status", Operation::kStatus},
    Route{Method::kGet, "/v1/members", Operation::kMembers},
    Route{Method::kGet, "/v1/keys", Operation::kKeysList},
    Route{Method::kPost, "/v1/keys/install", Operation::kKeysInstall},
    Route{Method::kPost, "/v1/keys/use", Operation::kKeysUse},
    Route{Method::kPost, "/v1/keys/remove", Operation::kKeysRemove},
    Route{Method::kPost, "/v1/force-leave", Operation::kForceLeave},
    Route{Method::kPost, "/v1/event", Operation::kEvent},
    Route{Method::kPost, "/v1/steer", Operation::kSteer},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

const Route* find_route(std::string_view path) {
  for (const Route& route : kRoutes) {
    if (route.path == path) return &route;
  }
  return nullptr;
}

const Route& route_of(Operation operation) {
  for (const Route& route : kRoutes) {
    if (route.operation == operation) return route;
  }
  SHOAL_UNREACHABLE();
}

std::string_view to_text(Method method) { return method == Method::kGet ? "GET" : "POST"; }

}  // namespace shoal::admin
