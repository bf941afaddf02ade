#include "app/haproxy_look.h"

#include <cerrno>
#include <charconv>
#include <utility>

namespace shoal::app {
namespace {

constexpr std::size_t kTextMost = 8192;  // The whole answer has 1 to 2 kB.

reactor::ClientStream::Options small() { return {.write_buffer_bytes = 64, .read_buffer_bytes = 4096}; }

HaproxyLook::Answer answer_of(const Error& why) {
  const bool nobody = why.code == ENOENT || why.code == ECONNREFUSED || why.code == ENOTDIR;
  return nobody ? HaproxyLook::Answer::kNobody : HaproxyLook::Answer::kSilent;
}

}  // namespace

pid_t pid_in_info(std::string_view text) {
  constexpr std::string_view kKey = "Pid: ";
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return 0;  // The number may go on.
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.substr(0, kKey.size()) != kKey) continue;
    pid_t pid = 0;
    const auto [rest, error] = std::from_chars(line.data() + kKey.size(), line.data() + line.size(), pid);
    return error == std::errc() && pid > 0 ? pid : 0;
  }
  return 0;
}

HaproxyLook::HaproxyLook(reactor::Loop& loop, const config::RuntimeSocket& socket, Told told)
    : loop_(loop), socket_(socket), told_(std::move(told)), stream_(loop, *this, small()), timer_(loop, [this] {
        end(Answer::kSilent, 0);
      }) {
  text_.reserve(kTextMost);
}

void HaproxyLook::start() {
  using Kind = config::RuntimeSocket::Kind;
  text_.clear();
  const Result<void> begun = socket_.kind == Kind::kTcp
                                 ? stream_.connect(socket_.place)
                                 : stream_.connect(socket_.name, socket_.kind == Kind::kAbstract);
  if (!begun.ok()) {
    loop_.post([this, answer = answer_of(begun.error())] { end(answer, 0); });
    return;
  }
  timer_.at(loop_.now() + kTimeout);
  if (socket_.kind != Kind::kTcp) ask();
}

// The master passes on what begins with @1, to the worker of now.
void HaproxyLook::ask() {
  static_cast<void>(stream_.write(as_bytes(std::string_view(socket_.is_master ? "@1 show info\n" : "show info\n"))));
}

// HAProxy closes behind its answer, its master does not.
void HaproxyLook::on_bytes(Bytes bytes) {
  text_.append(as_text(bytes).substr(0, kTextMost - text_.size()));
  if (const pid_t pid = pid_in_info(text_); pid > 0) end(Answer::kHaproxy, pid);
}

void HaproxyLook::on_closed(const Error& why) { end(answer_of(why), 0); }

void HaproxyLook::end(Answer answer, pid_t pid) {
  timer_.stop();
  stream_.close();
  told_(answer, pid);
}

}  // namespace shoal::app
