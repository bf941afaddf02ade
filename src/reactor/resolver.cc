// A question's life: free -> open (c-ares works on it) -> answered (told by the timer, never inside a call) -> free. A
// question whose deadline comes first is told at once and stays abandoned until c-ares has given back every call of it.
#include "reactor/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "reactor/handle.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

namespace {

constexpr std::size_t kSocketsMax = 32;  // One UDP and one TCP socket a server, and c-ares uses few servers.
constexpr std::size_t kNameBytesMax = 253;

std::string_view words_for(int status, bool srv) {
  switch (status) {
    case ARES_ENOTFOUND: return "no such name";
    case ARES_ENODATA: return srv ? "the name has no SRV record" : "the name has no address";
    case ARES_ETIMEOUT: return "no DNS server answered in time";
    case ARES_ECONNREFUSED: return "no DNS server could be reached";
    case ARES_ESERVFAIL: return "the DNS server failed to find out";
    case ARES_EREFUSED: return "the DNS server refuses to answer";
    case ARES_EBADNAME: return "this is not a host name";
    default: return ::ares_strerror(status);
  }
}

/// Which state of a file this is, as far as the file system tells; all zero when there is none.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t changed_s = 0, changed_ns = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

FileStamp stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

}  // namespace

struct Resolver::Impl {
  enum class State : std::uint8_t { kFree, kOpen, kAnswered, kAbandoned };

  struct Question;
  /// One thing asked of c-ares. Its address is what c-ares gives back.
  struct Call {
    Question* question = nullptr;
    std::uint16_t port = 0;
    std::uint32_t rank = 0;  // Of an SRV target: lower comes first.
  };
  struct Question {
    Question(Impl& owner, std::size_t targets_max) : impl(owner), calls(targets_max + 1) {}
    void add(const Endpoint& endpoint, std::uint32_t rank);
    void fail(int code) { status = code; }

    Impl& impl;
    State state = State::kFree;
    std::uint64_t token = 0;
    std::uint16_t port = 0;  // Not for SRV.
    Instant deadline = kNever;
    FixedString<kNameBytesMax> name;
    bool srv = false;
    bool srv_found = false;
    int status = ARES_SUCCESS;  // Of the last call that failed.
    std::uint32_t outstanding = 0;
    FixedVector<Call> calls;
    InlineVector<Endpoint, Resolved::kEndpointsMax> endpoints;
    InlineVector<std::uint32_t, Resolved::kEndpointsMax> ranks;
  };
  struct Socket {
    Socket(Loop& loop, Impl& owner)
        : impl(owner),
          watch(
              loop,
              [](void* self, Watch::Ready ready) {
                auto* socket = static_cast<Socket*>(self);
                socket->impl.on_socket(socket->watch.fd(), ready);
              },
              this) {}
    Impl& impl;
    Watch watch;
  };

  Impl(Loop& loop, Handler handler, const Options& options);
  ~Impl();

  void make_channel();
  void renew_if_changed();
  void ask(Question& question);
  void set_servers(const std::vector<Endpoint>& servers);
  Question* take(std::uint64_t token, std::string_view name, Instant deadline);
  void ask_srv(Question& question);
  void ask_host(Question& question, const char* host, std::uint16_t port, std::uint32_t rank);
  void take_srv(Question& question, const unsigned char* answer, int size);
  void call_ended(Question& question);
  void watch_socket(int fd, bool read, bool write);
  void on_socket(int fd, Watch::Ready ready);
  void on_timer();
  void tell(Question& question);
  void arm();

  Loop& loop;
  Handler handler;
  Options options;
  ares_channel channel = nullptr;
  FileStamp read_at;      // resolv.conf as the channel has read it.
  bool renewing = false;  // Calls end because their channel goes, not because they are answered.
  std::uint64_t renewals = 0;
  FixedVector<std::unique_ptr<Question>> questions;
  FixedVector<std::unique_ptr<Socket>> sockets;
  Timer timer;
};

void Resolver::Impl::Question::add(const Endpoint& endpoint, std::uint32_t rank) {
  if (endpoint.addr.empty() || endpoints.full()) return;
  if (std::find(endpoints.begin(), endpoints.end(), endpoint) != endpoints.end()) return;
  endpoints.push_back(endpoint);
  ranks.push_back(rank);
  for (std::size_t i = endpoints.size() - 1; i > 0 && ranks[i - 1] > ranks[i]; --i) {
    std::swap(endpoints[i - 1], endpoints[i]);
    std::swap(ranks[i - 1], ranks[i]);
  }
}

Resolver::Impl::Impl(Loop& l, Handler h, const Options& o)
    : loop(l),
      handler(std::move(h)),
      options(o),
      questions(options.questions_max),
      sockets(kSocketsMax),
      timer(l, [this] { on_timer(); }) {
  for (std::size_t i = 0; i < options.questions_max; ++i) {
    questions.push_back(std::make_unique<Question>(*this, options.srv_targets_max));
  }
  for (std::size_t i = 0; i < kSocketsMax; ++i) sockets.push_back(std::make_unique<Socket>(loop, *this));
  SHOAL_ASSERT(::ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
  make_channel();
}

void Resolver::Impl::make_channel() {
  // Before it is read: a change in between is then found again, not missed.
  read_at = stamp_of(options.resolv_conf);
  char lookups[] = "fb";
  char lookups_without_file[] = "b";
  ares_options settings{};
  settings.timeout = static_cast<int>(to_ms(options.try_timeout));
  settings.tries = options.tries;
  settings.lookups = options.use_hosts_file ? lookups : lookups_without_file;
  settings.udp_port = options.port;
  settings.resolvconf_path = options.resolv_conf.data();
  settings.sock_state_cb_data = this;
  settings.sock_state_cb = [](void* self, ares_socket_t fd, int read, int write) {
    static_cast<Impl*>(self)->watch_socket(fd, read != 0, write != 0);
  };
  SHOAL_ASSERT(::ares_init_options(&channel, &settings,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
                                       ARES_OPT_RESOLVCONF | ARES_OPT_UDP_PORT) == ARES_SUCCESS);
  if (!options.servers.empty()) set_servers(options.servers);
}

Resolver::Impl::~Impl() {
  ::ares_destroy(channel);  // Calls back for all that is open.
  ::ares_library_cleanup();
}

void Resolver::Impl::renew_if_changed() {
  if (!options.servers.empty()) return;
  const FileStamp present = stamp_of(options.resolv_conf);
  // While it is being replaced there may be none for a moment; the old servers are better than none.
  if (present == read_at || present == FileStamp{}) return;
  ++renewals;
  renewing = true;
  ::ares_destroy(channel);  // Ends every call, and closes its sockets.
  renewing = false;
  make_channel();
  for (const auto& question : questions) {
    if (question->state == State::kAbandoned) question->state = State::kFree;
    if (question->state != State::kOpen) continue;
    question->status = ARES_SUCCESS;
    question->srv_found = false;
    question->calls.clear();
    question->endpoints.clear();
    question->ranks.clear();
    ask(*question);
  }
}

void Resolver::Impl::ask(Question& question) {
  if (question.srv) return ask_srv(question);
  ask_host(question, std::string(question.name.view()).c_str(), question.port, 0);
}

void Resolver::Impl::set_servers(const std::vector<Endpoint>& servers) {
  std::string list;
  for (const Endpoint& server : servers) {
    if (!list.empty()) list += ',';
    list += to_text(server).view();
  }
  SHOAL_ASSERT(::ares_set_servers_ports_csv(channel, list.c_str()) == ARES_SUCCESS);
}

Resolver::Impl::Question* Resolver::Impl::take(std::uint64_t token, std::string_view name, Instant deadline) {
  renew_if_changed();
  for (const auto& question : questions) {
    if (question->state != State::kFree) continue;
    question->state = State::kOpen;
    question->token = token;
    question->deadline = deadline;
    question->name.assign_cut(name.substr(0, kNameBytesMax));
    question->srv = false;
    question->srv_found = false;
    question->status = name.empty() || name.size() > kNameBytesMax ? ARES_EBADNAME : ARES_SUCCESS;
    question->outstanding = 0;
    question->calls.clear();
    question->endpoints.clear();
    question->ranks.clear();
    return question.get();
  }
  return nullptr;
}

void Resolver::Impl::ask_host(Question& question, const char* host, std::uint16_t port, std::uint32_t rank) {
  if (question.calls.full()) return;
  Call& call = question.calls.push_back({&question, port, rank});
  ++question.outstanding;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ::ares_getaddrinfo(
      channel, host, nullptr, &hints,
      [](void* context, int status, int, ares_addrinfo* result) {
        const Call& ended = *static_cast<Call*>(context);
        if (status != ARES_SUCCESS) ended.question->fail(status);
        for (const ares_addrinfo_node* n = result == nullptr ? nullptr : result->nodes; n != nullptr; n = n->ai_next) {
          sockaddr_storage storage{};
          std::memcpy(&storage, n->ai_addr, std::min<std::size_t>(n->ai_addrlen, sizeof storage));
          ended.question->add({from_socket_address(storage).addr, ended.port}, ended.rank);
        }
        if (result != nullptr) ::ares_freeaddrinfo(result);
        ended.question->impl.call_ended(*ended.question);
      },
      &call);
}

void Resolver::Impl::ask_srv(Question& question) {
  ++question.outstanding;
  ::ares_search(
      channel, std::string(question.name.view()).c_str(), ns_c_in, ns_t_srv,
      [](void* context, int status, int, unsigned char* answer, int size) {
        auto& asked = *static_cast<Question*>(context);
        if (status == ARES_SUCCESS && asked.state == State::kOpen) {
          asked.impl.take_srv(asked, answer, size);
        } else {
          asked.fail(status);
        }
        asked.impl.call_ended(asked);
      },
      &question);
}

void Resolver::Impl::take_srv(Question& question, const unsigned char* answer, int size) {
  ares_srv_reply* records = nullptr;
  if (const int status = ::ares_parse_srv_reply(answer, size, &records); status != ARES_SUCCESS) {
    return question.fail(status);
  }
  const auto before = [](const ares_srv_reply* a, const ares_srv_reply* b) {
    return a->priority != b->priority ? a->priority < b->priority : a->weight > b->weight;
  };
  InlineVector<const ares_srv_reply*, 64> targets;
  for (const ares_srv_reply* r = records; r != nullptr && !targets.full(); r = r->next) {
    targets.push_back(r);
    for (std::size_t i = targets.size() - 1; i > 0 && before(targets[i], targets[i - 1]); --i) {
      std::swap(targets[i], targets[i - 1]);
    }
  }
  question.srv_found = true;
  std::uint32_t rank = 0;
  for (const ares_srv_reply* target : targets) {
    // RFC 2782: the target "." says that the service is decidedly not there.
    if (target->host[0] != '\0' && std::strcmp(target->host, ".") != 0) {
      ask_host(question, target->host, target->port, rank++);
    }
  }
  if (rank == 0) question.fail(ARES_ENODATA);
  ::ares_free_data(records);
}

void Resolver::Impl::call_ended(Question& question) {
  if (--question.outstanding > 0 || renewing) return;
  if (question.state == State::kAbandoned) {
    question.state = State::kFree;
  } else {
    question.state = State::kAnswered;
    timer.at(loop.now());
  }
}

void Resolver::Impl::watch_socket(int fd, bool read, bool write) {
  Socket* found = nullptr;
  for (const auto& socket : sockets) {
    if (socket->watch.fd() == fd) found = socket.get();
  }
  if (!read && !write) {
    if (found != nullptr) found->watch.close();  // c-ares closes the descriptor itself, next.
    return;
  }
  for (const auto& socket : sockets) {
    if (found == nullptr && !socket->watch.is_open()) found = socket.get();
  }
  // Without room the question runs into its deadline; c-ares never has that many sockets open.
  if (found == nullptr) return;
  if (!found->watch.is_open() && !found->watch.borrow(fd).ok()) return;
  found->watch.want(read, write);
}

void Resolver::Impl::on_socket(int fd, Watch::Ready ready) {
  ::ares_process_fd(channel, ready.read ? fd : ARES_SOCKET_BAD, ready.write ? fd : ARES_SOCKET_BAD);
  arm();
}

void Resolver::Impl::on_timer() {
  ::ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  const Instant now = loop.now();
  for (const auto& question : questions) {
    const bool overdue = question->state == State::kOpen && question->deadline <= now;
    if (overdue && question->endpoints.empty()) question->fail(ARES_ETIMEOUT);
    if (overdue || question->state == State::kAnswered) tell(*question);
  }
  arm();
}

void Resolver::Impl::tell(Question& question) {
  Resolved answer;
  answer.token = question.token;
  answer.endpoints = question.endpoints;
  if (answer.endpoints.empty()) {
    const int status = question.status == ARES_SUCCESS ? ARES_ENODATA : question.status;
    answer.error.assign_cut(question.name);
    const bool target = question.srv_found && !question.calls.empty();
    (void)answer.error.append(target ? ": none of its SRV targets resolves: " : ": ");
    (void)answer.error.append(words_for(status, question.srv && !target));
  }
  // Free before the handler runs: it may ask the next question.
  question.state = question.outstanding > 0 ? State::kAbandoned : State::kFree;
  handler(answer);
}

void Resolver::Impl::arm() {
  Instant first = kNever;
  for (const auto& question : questions) {
    if (question->state == State::kAnswered) first = loop.now();
    if (question->state == State::kOpen) first = earlier(first, question->deadline);
  }
  timeval wait{};
  if (::ares_timeout(channel, nullptr, &wait) != nullptr) {
    first = earlier(first, loop.now() + std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec));
  }
  timer.at(first);
}

Resolver::Resolver(Loop& loop, Handler handler) : Resolver(loop, std::move(handler), Options{}) {}

Resolver::Resolver(Loop& loop, Handler handler, const Options& options)
    : impl_(std::make_unique<Impl>(loop, std::move(handler), options)) {}

Resolver::~Resolver() = default;

bool Resolver::resolve_host(std::uint64_t token, std::string_view host, std::uint16_t port, Instant deadline) {
  Impl::Question* question = impl_->take(token, host, deadline);
  if (question == nullptr) return false;
  if (const std::optional<IpAddress> literal = IpAddress::parse(host)) {
    question->add({*literal, port}, 0);
    question->state = Impl::State::kAnswered;
  } else if (question->status != ARES_SUCCESS) {
    question->state = Impl::State::kAnswered;
  } else {
    question->port = port;
    impl_->ask(*question);
  }
  impl_->arm();
  return true;
}

bool Resolver::resolve_srv(std::uint64_t token, std::string_view name, Instant deadline) {
  Impl::Question* question = impl_->take(token, name, deadline);
  if (question == nullptr) return false;
  question->srv = true;
  if (question->status != ARES_SUCCESS) {
    question->state = Impl::State::kAnswered;
  } else {
    impl_->ask_srv(*question);
  }
  impl_->arm();
  return true;
}

std::uint64_t Resolver::renewals() const { return impl_->renewals; }

std::size_t Resolver::in_use() const {
  return static_cast<std::size_t>(std::count_if(impl_->questions.begin(), impl_->questions.end(),
                                                [](const auto& q) { return q->state != Impl::State::kFree; }));
}

}  // namespace shoal::reactor
