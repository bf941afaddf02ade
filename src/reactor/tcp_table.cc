#include "reactor/tcp_table.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace shoal::reactor {
namespace {

constexpr unsigned kListen = 10;

/// "0100007F": each word of four bytes in the machine's order.
bool read_address(std::string_view text, IpAddress& out) {
  if (text.size() != 8 && text.size() != 32) return false;
  std::uint8_t raw[16];
  for (std::size_t i = 0; i < text.size(); i += 8) {
    std::uint32_t word = 0;
    if (std::from_chars(text.data() + i, text.data() + i + 8, word, 16).ec != std::errc{}) return false;
    std::memcpy(raw + i / 2, &word, sizeof word);
  }
  const auto address = IpAddress::from_raw(Bytes(raw, text.size() / 2));
  if (address) out = *address;
  return address.has_value();
}

/// False for the table's head, too.
bool read_line(const char* line, TcpSocket& out) {
  char address[33];
  unsigned port = 0;
  unsigned state = 0;
  unsigned long inode = 0;
  // Number, local and remote place, state, queues, timer, retransmissions, uid, timeout, inode.
  const int read =
      std::sscanf(line, " %*u: %32[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", address, &port, &state, &inode);
  out.local.port = static_cast<std::uint16_t>(port);
  out.listens = state == kListen;
  out.inode = inode;
  return read == 4 && read_address(address, out.local.addr);
}

}  // namespace

void each_tcp_socket(const std::string& net, const std::function<bool(const TcpSocket&)>& f) {
  for (const char* table : {"/tcp", "/tcp6"}) {
    std::FILE* const file = std::fopen((net + table).c_str(), "re");
    if (file == nullptr) continue;
    char line[512];
    TcpSocket socket;
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (read_line(line, socket) && !f(socket)) break;
    }
    std::fclose(file);
  }
}

}  // namespace shoal::reactor
