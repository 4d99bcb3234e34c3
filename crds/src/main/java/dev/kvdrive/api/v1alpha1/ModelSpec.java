package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** Which model is served and where its files come from. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "!has(self.tokenSecret) || self.uri.startsWith('hf://')",
    message = "tokenSecret is only used with an hf:// model")
@ValidationRule(
    value = "!has(self.cacheClaimName) || self.uri.startsWith('hf://')",
    message =
        "cacheClaimName is only used with an hf:// model; pvc:// names its claim in the uri, and nodes keep the images of oci://")
@ValidationRule(
    value =
        "!(self.uri.startsWith('pvc://') || self.uri.startsWith('oci://')) || !self.uri.contains('..')",
    message = ModelSpec.LEAVES_VOLUME)
public record ModelSpec(
    @Required
        @Size(min = 1, max = 512)
        @Pattern(
            "^(builtin:[a-z0-9][a-z0-9._-]*"
                + "|hf://[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*"
                + "(@[A-Za-z0-9._%-]+)?(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*"
                + "|pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(/[A-Za-z0-9._-]+)*"
                + "|oci://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?"
                + "(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)+"
                + "(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[a-f0-9]{64})?"
                + "(#[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)*)?)$")
        @JsonPropertyDescription(
            "Source of the model: builtin:NAME (bundled in the runtime image), "
                + "hf://ORGANISATION/REPOSITORY@REVISION/FILE.gguf (downloaded from a model hub;"
                + " revision and file may be left out), "
                + "pvc://CLAIM/PATH (a file or folder in a claim of this namespace, read-only), or"
                + " oci://REGISTRY/REPOSITORY:TAG#PATH (a file or folder in an image that each node"
                + " pulls once; @sha256:DIGEST in place of a tag or after it; without a path the"
                + " image's root).")
        String uri,
    @Nullable
        @JsonPropertyDescription(
            "Sizes of the model. Needed only when neither the operator nor the InferenceClass"
                + " knows the model.")
        Geometry geometry,
    @Nullable
        @JsonPropertyDescription("Secret with the access token of the model hub, for gated models.")
        SecretKey tokenSecret,
    @Nullable
        @Size(min = 1, max = 253)
        @Pattern(KubernetesNames.OBJECT)
        @JsonPropertyDescription(
            "Claim of this namespace in which downloaded models are kept. Without one each pod"
                + " downloads into space of its own.")
        String cacheClaimName,
    @Nullable
        @Size(min = 1, max = 65536)
        @JsonPropertyDescription(
            "Chat template in Jinja, in place of the one that comes with the model. For models"
                + " without one, and where the model's own is not wanted.")
        String chatTemplate,
    @Nullable
        @JsonPropertyDescription(
            "Serves a longer context than the model was trained for. For models whose card names"
                + " it, and not for those that bring a scaling of their own.")
        RopeScaling ropeScaling) {
  /** What a path that leaves its volume is told, by the API server and by whoever plans. */
  public static final String LEAVES_VOLUME = "a path in a claim or an image has no ..";
}
