// Real numbers as balls: a centre of two doubles (106 bits) and a radius that bounds every rounding
// error. Two answers differ for certain when their balls are apart.
#pragma once

#include "eval/answer_number.h"

namespace ponder {

struct Ball {
  double high = 0, low = 0;  // the centre; |low| is at most half a unit in the last place of high
  double radius = 0;         // at least the error of the centre; infinite when nothing is known

  bool known() const;  // finite, and the error is below 1e-20 of max(1, |centre|)
  bool holds_zero() const;
};

Ball ball(double value);
Ball ball(const BigRational& value);  // unknown beyond 1e290
Ball unknown_ball();
Ball operator-(const Ball& a);
Ball operator+(const Ball& a, const Ball& b);
Ball operator-(const Ball& a, const Ball& b);
Ball operator*(const Ball& a, const Ball& b);
Ball operator/(const Ball& a, const Ball& b);  // unknown where b holds zero
Ball sqrt(const Ball& a);                      // unknown below zero
Ball exp(const Ball& a);
Ball log(const Ball& a);  // unknown unless above zero
Ball sin(const Ball& a);
Ball cos(const Ball& a);
Ball atan(const Ball& a);
Ball ball_pi();
Ball ball_e();

// The number of sign a - b; 0 where the balls touch.
int compare(const Ball& a, const Ball& b);

// A fraction with a denominator up to 10^6 inside the ball, if the ball is so small that this cannot
// be chance.
MaybeRational nearby_fraction(const Ball& a, Work& work);

}  // namespace ponder
