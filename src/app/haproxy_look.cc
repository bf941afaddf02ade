#include "app/haproxy_look.h"

#include <cerrno>
#include <charconv>
#include <utility>

namespace shoal::app {
namespace {

constexpr std::string_view kQuestion = "show info\n";
constexpr std::size_t kTextMost = 8192;  // The whole answer has 1 to 2 kB.

reactor::ClientStream::Options small() { return {.write_buffer_bytes = 64, .read_buffer_bytes = 4096}; }

}  // namespace

pid_t pid_in_info(std::string_view text) {
  constexpr std::string_view kKey = "Pid: ";
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.substr(0, kKey.size()) != kKey) continue;
    pid_t pid = 0;
    const auto [rest, error] = std::from_chars(line.data() + kKey.size(), line.data() + line.size(), pid);
    return error == std::errc() && pid > 0 ? pid : 0;
  }
  return 0;
}

HaproxyLook::HaproxyLook(reactor::Loop& loop, std::string socket, Told told)
    : loop_(loop),
      socket_(std::move(socket)),
      told_(std::move(told)),
      stream_(loop, *this, small()),
      timer_(loop, [this] { end(Answer::kSilent, 0); }) {
  text_.reserve(kTextMost);
}

void HaproxyLook::start() {
  text_.clear();
  const Result<void> connected = stream_.connect(socket_);
  if (!connected.ok()) {
    const int code = connected.error().code;
    const bool nobody = code == ENOENT || code == ECONNREFUSED || code == ENOTDIR;
    loop_.post([this, nobody] { told_(nobody ? Answer::kNobody : Answer::kSilent, 0); });
    return;
  }
  timer_.at(loop_.now() + kTimeout);
  static_cast<void>(stream_.write(as_bytes(kQuestion)));
}

void HaproxyLook::on_bytes(Bytes bytes) { text_.append(as_text(bytes).substr(0, kTextMost - text_.size())); }

// HAProxy closes behind its answer.
void HaproxyLook::on_closed(const Error&) {
  const pid_t pid = pid_in_info(text_);
  end(pid > 0 ? Answer::kHaproxy : Answer::kSilent, pid);
}

void HaproxyLook::end(Answer answer, pid_t pid) {
  timer_.stop();
  stream_.close();
  told_(answer, pid);
}

}  // namespace shoal::app
