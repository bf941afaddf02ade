// What the operator may ask of a running node's gossip, over its control socket. Both roles have one.
#pragma once

#include <string_view>

#include "app/control_server.h"
#include "app/gossip_driver.h"

namespace shoal::app {

class GossipControl final : private ControlHandler {
 public:
  GossipControl(reactor::Loop& loop, const config::Config& config, Log& log, GossipDriver& gossip);

  /// Listens. REQUIRES: gossip is bound. The error names the setting.
  [[nodiscard]] Result<void> open();
  void close() { server_.close(); }

 private:
  void on_control(const ControlRequest& request) override;
  [[nodiscard]] admin::Status status() const;
  [[nodiscard]] std::vector<admin::Member> members() const;
  void change_keys(const ControlRequest& request, serf::KeyOperation operation);

  const config::Config& config_;
  GossipDriver& gossip_;
  ControlServer server_;
};

}  // namespace shoal::app
