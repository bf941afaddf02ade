// What the operator may ask of a running node's gossip, over its control socket. Both roles have one.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "app/control_server.h"
#include "app/gossip_driver.h"
#include "app/role_view.h"
#include "app/status_desk.h"
#include "app/steering.h"

namespace shoal::app {

class GossipControl final : private ControlHandler {
 public:
  /// What an operator wants of this very node: empty when it is done, else why not.
  using SteerSelf = std::function<std::string(const announce::Steering&)>;

  /// `view` answers for the role; it must outlive this.
  GossipControl(reactor::Loop& loop, const config::Config& config, Log& log, GossipDriver& gossip, RoleView& view,
                SteerSelf steer_self);

  /// Listens. REQUIRES: gossip is bound. The error names the setting.
  [[nodiscard]] Result<void> open();
  void close() { server_.close(); }
  /// As GossipHandler::on_response; false when the answer is not to a question of this class.
  [[nodiscard]] bool on_response(std::uint64_t token, std::string_view from, Bytes payload) {
    return steering_.on_response(token, from, payload);
  }

 private:
  void on_control(const ControlRequest& request) override;
  void answer_status(std::uint64_t ref, const admin::Status& of_role);
  [[nodiscard]] std::vector<admin::Member> members() const;
  void change_keys(const ControlRequest& request, serf::KeyOperation operation);
  void steer(const ControlRequest& request);

  reactor::Loop& loop_;
  const Instant started_;
  const config::Config& config_;
  GossipDriver& gossip_;
  ControlServer server_;
  StatusDesk desk_;
  Steering steering_;
  SteerSelf steer_self_;
};

}  // namespace shoal::app
