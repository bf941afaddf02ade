#include "serf/coordinates.h"

#include <algorithm>
#include <cmath>

namespace shoal::serf {

namespace {

constexpr double kGain = 0.25;  // Of the error and of the force: how much one round trip may change.
constexpr double kGravityRho = 150;
constexpr double kZero = 1.0e-6;  // Less counts as nothing.

using Vector = std::array<double, kCoordinateDimensions>;

// Whole seconds and the rest apart, as serf has it: the last bit depends on it.
double to_seconds(Duration d) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return static_cast<double>(d.count() / kSecond) + static_cast<double>(d.count() % kSecond) / 1e9;
}

double magnitude(const Vector& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

Vector difference(const Vector& a, const Vector& b) {
  Vector out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

Vector times(const Vector& v, double factor) {
  Vector out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = v[i] * factor;
  return out;
}

double raw_distance(const Coordinate& a, const Coordinate& b) {
  return magnitude(difference(a.vec, b.vec)) + a.height + b.height;
}

// Of three the middle one, of two the greater.
Duration middle(const InlineVector<Duration, kRttSamplesMax>& rtts) {
  const Duration first = rtts[0];
  if (rtts.size() == 1) return first;
  const Duration least = std::min(first, rtts[1]);
  const Duration most = std::max(first, rtts[1]);
  return rtts.size() == 2 ? most : std::clamp(rtts[2], least, most);
}

// In [-0.5, 0.5).
double around_zero(Rng& rng) { return static_cast<double>(rng.next() >> 11) * 0x1p-53 - 0.5; }

Vector random_unit(Rng& rng) {
  Vector out{};
  for (double& x : out) x = around_zero(rng);
  const double size = magnitude(out);
  if (size > kZero) return times(out, 1.0 / size);
  out = {};
  out[0] = 1;
  return out;
}

bool is_finite(const Coordinate& c) {
  return std::all_of(c.vec.begin(), c.vec.end(), [](double x) { return std::isfinite(x); }) && std::isfinite(c.error) &&
         std::isfinite(c.adjustment) && std::isfinite(c.height);
}

bool is_honest(const Coordinate& c) {
  const auto within = [](double x) { return std::fabs(x) <= Coordinates::kReachMax; };
  return std::all_of(c.vec.begin(), c.vec.end(), within) && within(c.error) && within(c.adjustment) &&
         within(c.height) && c.error >= 0 && c.height >= 0;
}

}  // namespace

std::string_view to_text(CoordinateVerdict verdict) {
  switch (verdict) {
    case CoordinateVerdict::kTaken: return "taken";
    case CoordinateVerdict::kNotFinite: return "not finite";
    case CoordinateVerdict::kAbsurd: return "absurd";
    case CoordinateVerdict::kRttOutOfRange: return "rtt out of range";
  }
  return "?";
}

Duration estimate(const Coordinate& a, const Coordinate& b) {
  double distance = raw_distance(a, b);
  const double adjusted = distance + a.adjustment + b.adjustment;
  if (adjusted > 0) distance = adjusted;
  const double nanoseconds = distance * 1e9;
  if (!(nanoseconds < 9e18)) return Duration::max();  // Too far for a Duration, or no number at all.
  return nanoseconds > 0 ? Duration(static_cast<std::int64_t>(nanoseconds)) : Duration{};
}

CoordinateVerdict Coordinates::update(PeerCoordinate& peer, const Coordinate& other, Duration rtt) {
  const CoordinateVerdict verdict = !is_finite(other)                         ? CoordinateVerdict::kNotFinite
                                    : !is_honest(other)                       ? CoordinateVerdict::kAbsurd
                                    : rtt < Duration::zero() || rtt > kRttMax ? CoordinateVerdict::kRttOutOfRange
                                                                              : CoordinateVerdict::kTaken;
  ++counts_[static_cast<std::size_t>(verdict)];
  if (verdict != CoordinateVerdict::kTaken) return verdict;

  peer.known = true;
  peer.at = other;
  if (peer.rtts.full()) peer.rtts.erase(0);
  peer.rtts.push_back(rtt);
  const double median = to_seconds(middle(peer.rtts));

  move(other, median);
  adjust(other, median);
  const Coordinate origin;
  const double far_off = to_seconds(estimate(origin, own_)) / kGravityRho;
  apply_force(-(far_off * far_off), origin);
  if (!is_finite(own_) || !is_honest(own_)) reset();
  return verdict;
}

// The part that Vivaldi's paper describes: the less sure of oneself, and the surer the other, the further the step.
void Coordinates::move(const Coordinate& other, double rtt) {
  const double distance = to_seconds(estimate(own_, other));
  rtt = std::max(rtt, kZero);
  const double wrongness = std::fabs(distance - rtt) / rtt;
  const double weight = own_.error / std::max(own_.error + other.error, kZero);
  own_.error = std::min(kGain * weight * wrongness + own_.error * (1.0 - kGain * weight), kCoordinateErrorMax);
  apply_force(kGain * weight * (rtt - distance), other);
}

void Coordinates::adjust(const Coordinate& other, double rtt) {
  window_[window_next_] = rtt - raw_distance(own_, other);
  window_next_ = (window_next_ + 1) % kAdjustmentWindow;
  double sum = 0;
  for (const double sample : window_) sum += sample;
  own_.adjustment = sum / (2.0 * static_cast<double>(kAdjustmentWindow));
}

void Coordinates::apply_force(double force, const Coordinate& from) {
  const Vector way = difference(own_.vec, from.vec);
  const double size = magnitude(way);
  const bool apart = size > kZero;
  const Vector step = times(apart ? times(way, 1.0 / size) : random_unit(rng_), force);
  for (std::size_t i = 0; i < step.size(); ++i) own_.vec[i] += step[i];
  if (!apart) return;
  own_.height = std::max((own_.height + from.height) * force / size + own_.height, kCoordinateHeightMin);
}

void Coordinates::reset() {
  own_ = {};
  window_ = {};  // What is in it was measured from where we are no longer.
  ++resets_;
}

}  // namespace shoal::serf
