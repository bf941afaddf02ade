// One value at a time: text to a typed value. Each function gives what is wrong in words that say what to write
// instead, empty when all is well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.h"
#include "base/time.h"
#include "config/config.h"

namespace shoal::config {

/// "500ms", "30s", "1m30s", "2h": units h, m, s, ms, each once and in this order.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);
/// The shortest way to write it: "1m30s". Whole milliseconds.
[[nodiscard]] std::string duration_text(Duration duration);

[[nodiscard]] std::string read_integer(std::string_view text, std::int64_t least, std::int64_t most, std::int64_t& out);
[[nodiscard]] std::string read_seed(std::string_view text, Seed& out);
[[nodiscard]] std::string read_bind(std::string_view text, Bind& out);
[[nodiscard]] std::string read_advertise(std::string_view text, Advertise& out);
[[nodiscard]] std::string read_cidr(std::string_view text, Cidr& out);
/// A literal address with a port; port 0 is allowed.
[[nodiscard]] std::string read_listen(std::string_view text, Endpoint& out);
[[nodiscard]] std::string read_tag(std::string_view text, Tag& out);
/// "SIGQUIT" or "QUIT".
[[nodiscard]] std::string read_signal(std::string_view text, int& out);
/// "auto", "notify", "http:/path", "tcp" or "delay:1s"; the path and the delay go into their own fields.
[[nodiscard]] std::string read_ready(std::string_view text, Worker& out);
/// "off", "http:/path", "tcp" or "queue".
[[nodiscard]] std::string read_health(std::string_view text, Worker& out);
/// Base64 of 16, 24 or 32 bytes. What is wrong never shows the text.
[[nodiscard]] std::string read_key(std::string_view text, std::vector<std::uint8_t>& out);
/// A directory; empty for "off" and for an empty text.
[[nodiscard]] std::string read_snapshot_dir(std::string_view text, std::string& out);
/// A literal address, with a port or without (then serf's), or "off".
[[nodiscard]] std::string read_rpc_bind(std::string_view text, std::optional<Endpoint>& out);
[[nodiscard]] std::string check_auth_key(std::string_view text);
/// A path, "@name" or "off".
[[nodiscard]] std::string read_control_socket(std::string_view text, Control& out);

[[nodiscard]] std::string check_node_name(std::string_view text);
/// The name of a pool, as HAProxy and the announce messages allow it.
[[nodiscard]] std::string check_pool_name(std::string_view text);
[[nodiscard]] std::string check_server_prefix(std::string_view text);
[[nodiscard]] std::string check_socket_path(std::string_view text);
/// "PATH", "ipv4@ADDRESS:PORT", "ipv6@[ADDRESS]:PORT", "abns@NAME" or "master@PATH".
[[nodiscard]] std::string read_runtime_socket(std::string_view text, RuntimeSocket& out);
[[nodiscard]] std::string check_file_path(std::string_view text);
/// memberlist's label: at most 255 bytes, one byte of the packet holds its length.
[[nodiscard]] std::string check_label(std::string_view text);

}  // namespace shoal::config
