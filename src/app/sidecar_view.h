// A sidecar as it shows itself: `shoal health`, `shoal status`, and one line for a service manager.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "app/role_view.h"
#include "base/containers.h"
#include "config/config.h"
#include "sidecar/core.h"

namespace shoal::app {

class SidecarView final : public RoleView {
 public:
  /// `core` is null until gossip begins; `stopping`: a stop was asked for. Both are read at each question.
  SidecarView(const config::Config& config, const std::unique_ptr<sidecar::Core>& core, const bool& stopping)
      : config_(config), core_(core), stopping_(stopping) {}

  /// For a service manager: what has changed since the last call, as one line; empty when nothing has.
  [[nodiscard]] std::string_view take_line();

  // What a sidecar knows of HAProxy is compared all the time: nobody has to be asked.
  void observe(Instant) override {}
  void refresh(Instant, Instant) override {}
  [[nodiscard]] bool is_fresh(Instant) const override { return true; }
  [[nodiscard]] bool health_is_open() const override { return false; }
  [[nodiscard]] admin::Health health(Instant now) const override;
  [[nodiscard]] admin::Health ready(Instant now, Instant since) const override;
  void fill(Instant now, Instant since, admin::Status& out) const override;

 private:
  using ProxyFacts = InlineVector<admin::ProxyFacts, config::kSocketsMax>;
  [[nodiscard]] ProxyFacts proxy_facts(Instant now) const;
  [[nodiscard]] admin::SidecarFacts facts(const ProxyFacts& proxies) const;

  const config::Config& config_;
  const std::unique_ptr<sidecar::Core>& core_;
  const bool& stopping_;
  std::uint32_t shown_ = UINT32_MAX;
  FixedString<160> line_;
};

}  // namespace shoal::app
