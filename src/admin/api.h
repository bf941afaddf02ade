// What the control socket's answers say, as plain structs, and their JSON. The running shoal fills and formats them,
// the commands parse and print them, so that neither side knows a key name of the other's.
//
//   GET  /v1/health         Health, with a status of 200 when it is well and 503 when not (admin/health.h)
//   GET  /v1/ready          the same, for the strict question
//   GET  /v1/status         Status (admin/status.h)
//   GET  /v1/members        {"members": [Member...]}
//   GET  /v1/keys           KeysAnswer
//   POST /v1/keys/install   KeyRequest         -> KeysAnswer, its `keys` empty
//   POST /v1/keys/use       KeyRequest         -> the same
//   POST /v1/keys/remove    KeyRequest         -> the same
//   POST /v1/force-leave    ForceLeaveRequest  -> {}
//   POST /v1/event          EventRequest       -> {}
//   POST /v1/steer          SteerRequest       -> {}
//   every other answer      {"error": "what is wrong, and the fix"} with a status of 400 and more
//
// A change of keys that went wrong on some node is still a 200: the answer's `errors` and its counts tell. A byte
// of a text that is no UTF-8 is written as \u00XX.
//
// Reading is strict about types. An answer may have members that its reader does not know, so that versions can differ;
// a request may not, for what it asks would not be done. These
// allocate: they run when a person asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::admin {

/// {"min": 1, "max": 5, "current": 2}
struct VersionRange {
  std::uint32_t min = 0, max = 0, current = 0;
};

/// {"name": "web-1", "addr": "10.0.0.1", "port": 7946, "status": "alive", "tags": {"role": "task"}, "rtt_us": 310,
///  "versions": {"protocol": VersionRange, "delegate": VersionRange}}
struct Member {
  std::string name;
  std::string addr;  // Without port and brackets.
  std::uint16_t port = 0;
  std::string status;  // serf's words: alive, leaving, left, failed.
  std::vector<std::pair<std::string, std::string>> tags;
  std::optional<std::uint32_t> rtt_us;  // Estimated round trip from the node that was asked, microseconds.
  VersionRange protocol;                // memberlist's.
  VersionRange delegate;                // serf's.
};

/// {"key": "base64", "nodes": 3, "primary_nodes": 3}
struct KeyUse {
  std::string key;                  // Base64.
  std::uint32_t nodes = 0;          // That have it.
  std::uint32_t primary_nodes = 0;  // That encrypt with it.
};

/// {"node": "web-1", "message": "..."}
struct NodeError {
  std::string node;
  std::string message;
};

/// {"keys": [KeyUse...], "nodes": 3, "answered": 2, "errors": [NodeError...]}
struct KeysAnswer {
  std::vector<KeyUse> keys;    // Only for the list.
  std::uint32_t nodes = 0;     // Alive members that were asked, this one too.
  std::uint32_t answered = 0;  // Of them, before the query's deadline.
  std::vector<NodeError> errors;

  /// Everybody has answered, and nobody with an error.
  [[nodiscard]] bool complete() const { return errors.empty() && answered >= nodes; }
};

/// {"key": "base64"}
struct KeyRequest {
  std::string key;
};
/// {"name": "web-1", "prune": false}
struct ForceLeaveRequest {
  std::string name;
  bool prune = false;  // Forget the member at once, too.
};
/// {"name": "deploy", "payload": "text", "coalesce": false}, or "payload_base64" in the place of "payload".
struct EventRequest {
  std::string name;
  std::string payload;  // Any bytes.
  bool coalesce = false;
};

/// {"name": "web-1", "wish": "drain", "stop": false}
struct SteerRequest {
  std::string name;  // A node's, or its server's in HAProxy.
  std::string wish;  // "drain", "maint" or "ready".
  bool stop = false;
};

[[nodiscard]] std::string to_json(const std::vector<Member>& members);
[[nodiscard]] std::string to_json(const KeysAnswer& answer);
[[nodiscard]] std::string to_json(const KeyRequest& request);
[[nodiscard]] std::string to_json(const ForceLeaveRequest& request);
[[nodiscard]] std::string to_json(const EventRequest& request);
[[nodiscard]] std::string to_json(const SteerRequest& request);
[[nodiscard]] std::string error_json(std::string_view message);

// False when the text is no JSON, or a value has another type; then `out` may hold anything.
[[nodiscard]] bool from_json(std::string_view text, std::vector<Member>& out);
[[nodiscard]] bool from_json(std::string_view text, KeysAnswer& out);
/// The "error" of a failed answer; nothing when there is none.
[[nodiscard]] std::optional<std::string> error_from_json(std::string_view text);

// For the server: what is wrong in words for the caller, empty when all is well.
[[nodiscard]] std::string read_request(std::string_view text, KeyRequest& out);
[[nodiscard]] std::string read_request(std::string_view text, ForceLeaveRequest& out);
[[nodiscard]] std::string read_request(std::string_view text, EventRequest& out);
[[nodiscard]] std::string read_request(std::string_view text, SteerRequest& out);

}  // namespace shoal::admin
