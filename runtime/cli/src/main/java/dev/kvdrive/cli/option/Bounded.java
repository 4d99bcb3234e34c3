package dev.kvdrive.cli.option;

import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.Workspace;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Whole numbers on the command line, with their bounds, so that one beyond them is wrong usage. */
public abstract sealed class Bounded implements ITypeConverter<Integer> {
  private final int least;
  private final int most;

  private Bounded(int least, int most) {
    this.least = least;
    this.most = most;
  }

  @Override
  public Integer convert(String value) {
    try {
      int number = Integer.parseInt(value);
      if (number >= least && number <= most) {
        return number;
      }
    } catch (NumberFormatException e) {
      // told below, like a number out of bounds
    }
    throw new TypeConversionException(
        "'%s' is not a whole number of %s"
            .formatted(
                value,
                most == Integer.MAX_VALUE
                    ? "at least %,d".formatted(least)
                    : "%,d to %,d".formatted(least, most)));
  }

  /** Tokens of a context that can be planned. */
  public static final class Context extends Bounded {
    public Context() {
      super(Load.MIN_CONTEXT, ModelGeometry.MAX_CONTEXT);
    }
  }

  /** Sequences at once. */
  public static final class Concurrency extends Bounded {
    public Concurrency() {
      super(1, Load.MAX_CONCURRENCY);
    }
  }

  /** A count of something that must be there. */
  public static final class Positive extends Bounded {
    public Positive() {
      super(1, Integer.MAX_VALUE);
    }
  }

  /** A count of something that may be missing. */
  public static final class Count extends Bounded {
    public Count() {
      super(0, Integer.MAX_VALUE);
    }
  }

  /** Tokens that windows are warmed up with. */
  public static final class WarmUp extends Bounded {
    public WarmUp() {
      super(0, Workspace.MOST_WARM_UP_TOKENS);
    }
  }

  /** A port; 0 for a free one. */
  public static final class Port extends Bounded {
    public Port() {
      super(0, 65_535);
    }
  }
}
