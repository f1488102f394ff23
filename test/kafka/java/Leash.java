import java.io.IOException;
import java.util.Arrays;

/**
 * Runs another class, CLASS ARG…, in a JVM that ends at once when its standard input does: so it never outlives the process that
 * started it, however that one ends.
 */
public final class Leash {
  private Leash() {}

  public static void main(String[] args) throws Exception {
    Thread watch = new Thread(Leash::haltAtEndOfInput, "leash");
    watch.setDaemon(true);
    watch.start();
    String[] rest = Arrays.copyOfRange(args, 1, args.length);
    Class.forName(args[0]).getMethod("main", String[].class).invoke(null, (Object) rest);
  }

  private static void haltAtEndOfInput() {
    try {
      while (System.in.read() >= 0) {
        // What comes is of no interest.
      }
    } catch (IOException e) {
      // As good as its end.
    }
    Runtime.getRuntime().halt(1);
  }
}
