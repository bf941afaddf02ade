// Names to addresses, on the loop, without a thread: A and AAAA (/etc/hosts honoured), and SRV with its targets
// resolved. Backed by c-ares, which reads resolv.conf only once: a resolver that outlives a change of it (a laptop's
// new network, a container's DNS that came late) looks at each question whether the file is still the same, and if not
// asks its open questions and all later ones as the new file says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/result.h"
#include "reactor/loop.h"

namespace shoal::reactor {

/// What became of one question.
struct Resolved {
  static constexpr std::size_t kEndpointsMax = 64;
  std::uint64_t token = 0;
  /// Best first (addresses of one host as RFC 6724 orders them; SRV targets by priority, then weight), without doubles;
  /// more than the limit are left out.
  /// Empty exactly when `error` is not.
  InlineVector<Endpoint, kEndpointsMax> endpoints;
  /// In words, with the name: "seed.example: no such name".
  FixedString<384> error;
};

class Resolver {
 public:
  struct Options {
    std::vector<Endpoint> servers;  // Empty = as the next says.
    std::string resolv_conf = "/etc/resolv.conf";
    std::uint16_t port = 53;  // Of the servers there, which have none.
    bool use_hosts_file = true;
    Duration try_timeout = 2s;  // A server is asked this long, then the next, then again.
    int tries = 2;
    std::size_t questions_max = 32;
    std::size_t srv_targets_max = 16;  // Further targets of one SRV answer are left out.
  };
  using Handler = std::function<void(const Resolved& answer)>;

  Resolver(Loop& loop, Handler handler);
  Resolver(Loop& loop, Handler handler, const Options& options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Addresses of a host, each with `port`. A literal address is answered without DNS.
  /// False when too many questions are open. The answer never comes inside the call, and always by the deadline.
  [[nodiscard]] bool resolve_host(std::uint64_t token, std::string_view host, std::uint16_t port, Instant deadline);
  /// Where an SRV record points: its targets' addresses with their ports.
  [[nodiscard]] bool resolve_srv(std::uint64_t token, std::string_view name, Instant deadline);

  [[nodiscard]] std::size_t in_use() const;
  /// Times that resolv.conf was found changed.
  [[nodiscard]] std::uint64_t renewals() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::reactor
