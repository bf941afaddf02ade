// The control socket of a running shoal: reactor/unix_listener under admin/'s HTTP and routes. It judges requests, and
// hands each good one to the role's app as a ControlRequest; the answer may come at once or later.
//
// For the app:
//
//   ControlServer control_(loop_, log_, *this);
//   control_.open(config_.control, "sidecar", gossip_.bound_port());       // after the gossip port is bound
//
//   void on_control(const ControlRequest& request) override {
//     switch (request.operation) {
//       case admin::Operation::kStatus: return control_.answer(request.ref, status());
//       case admin::Operation::kKeysInstall: return begin_keys(request.ref, ...);   // answers later
//       ...
//
// A request that is not answered in kAnswerMost is answered 504 by the server, and a later answer to it is ignored.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin/api.h"
#include "admin/health.h"
#include "admin/routes.h"
#include "admin/status.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "config/config.h"
#include "reactor/loop.h"

namespace shoal::app {

/// One good request. Everything is borrowed until the call returns.
struct ControlRequest {
  std::uint64_t ref = 0;  // For the answer. Never 0, never used twice.
  admin::Operation operation = admin::Operation::kStatus;
  /// kKeysInstall, kKeysUse, kKeysRemove: 16, 24 or 32 bytes, decoded.
  Bytes key;
  /// kForceLeave: the member. kEvent: the event. kSteer: the node, or its server; not empty.
  std::string_view name;
  bool prune = false;     // kForceLeave.
  Bytes payload;          // kEvent.
  bool coalesce = false;  // kEvent.
  std::string_view wish;  // kSteer: "drain", "maint" or "ready".
  bool stop = false;      // kSteer.
};

class ControlHandler {
 public:
  /// Answer with ControlServer::answer, done or fail and the request's ref, inside the call or later.
  virtual void on_control(const ControlRequest& request) = 0;

 protected:
  ~ControlHandler() = default;
};

class ControlServer {
 public:
  /// Longer than the longest query (10 s) by as much as an answer needs.
  static constexpr Duration kAnswerMost = 12s;

  ControlServer(reactor::Loop& loop, Log& log, ControlHandler& handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Listens where the settings say, see app/control_socket.h. Logs where (info). With the default places a failure is
  /// a warning and the program goes on without; a place that the operator named is an error. kOff: does nothing.
  [[nodiscard]] Result<void> open(const config::Control& control, std::string_view role, std::uint16_t gossip_port);
  /// Ends every connection and removes the socket's file.
  void close();

  // Each answers one request with 200; nothing happens when the ref is unknown: its client has gone, or it was too
  // late.
  void answer(std::uint64_t ref, const admin::Status& status);
  /// 503 when it is not well.
  void answer(std::uint64_t ref, const admin::Health& health);
  void answer(std::uint64_t ref, const std::vector<admin::Member>& members);
  void answer(std::uint64_t ref, const admin::KeysAnswer& keys);
  /// For kForceLeave, kEvent and kSteer.
  void done(std::uint64_t ref);
  /// `http_status` 400 (the caller must change something), 404 (no such member), 409 (not possible now), 503 (not
  /// possible yet). `message` says what is wrong and the fix.
  void fail(std::uint64_t ref, int http_status, std::string_view message);

  /// Empty until open, and when off.
  [[nodiscard]] const std::string& socket() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::app
