#include "sidecar/outbox.h"

#include <algorithm>

namespace shoal::sidecar {

Outbox::Outbox(std::size_t proxies, const haproxy::SessionOptions& options, bool dry_run)
    : would_send(dry_run ? kWouldSendMax : 0), sessions_(proxies) {
  for (std::size_t i = 0; i < proxies; ++i) sessions_.emplace_back(options);
}

bool Outbox::empty() const {
  return verifies.empty() && events.empty() && would_send.empty() &&
         std::all_of(sessions_.begin(), sessions_.end(),
                     [](const haproxy::SessionOutbox& session) { return session.empty(); });
}

void Outbox::clear() {
  verifies.clear();
  events.clear();
  would_send.clear();
  for (haproxy::SessionOutbox& session : sessions_) session.clear();
}

}  // namespace shoal::sidecar
