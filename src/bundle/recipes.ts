import * as v from 'valibot';
import { BASE_NAMES, CONTAINERS } from '../../images/platforms.ts';
import { ARCHITECTURES } from '../arch.ts';
import { FormatError } from '../errors.ts';
import { canonicalJson } from '../json/canonical.ts';
import { fileNameField, nameField, sha256Field, sizeField, textField } from '../json/fields.ts';
import { parseJson } from '../json/parse.ts';
import { type Attestation, FILE_ROLES, idText } from '../stream/artifacts.ts';
import { COMPRESSIONS } from '../stream/names.ts';

/**
 * The recipe manifest: one architecture's config blob. It says how every artifact is made from the
 * ISO, and what its bytes must hash to. Version 1 of the schema; unknown members are ignored, a
 * higher version is refused.
 */
export const RECIPES_VERSION = 1;

const ATTESTATIONS = [
  'uncompressed-sha256',
  'sha256',
  'computed',
] as const satisfies readonly Attestation[];

const idFields = { platform: nameField, format: nameField, file: v.picklist(FILE_ROLES) };

/** A disk that the ISO's osmet unpacks to. */
const baseSchema = v.object({ sha256: sha256Field, size: sizeField });

const recipeSchema = v.variant('kind', [
  /** The artifact is the ISO itself. */
  v.object({ kind: v.literal('iso') }),
  /** The artifact is a regenerated disk as it is. */
  v.object({ kind: v.literal('base'), base: v.picklist(['metal', 'metal4k']) }),
  /** Patch `base` with the delta blob. */
  v.object({
    kind: v.literal('delta'),
    base: v.picklist(BASE_NAMES),
    delta: v.object({ sha256: sha256Field, size: sizeField }),
  }),
]);

const artifactSchema = v.object({
  ...idFields,
  release: textField(256),
  /** Name, size in bytes and SHA-256 of the target. */
  name: fileNameField,
  size: sizeField,
  sha256: sha256Field,
  /** Where that SHA-256 comes from. */
  attestation: v.picklist(ATTESTATIONS),
  compression: v.picklist([...COMPRESSIONS, 'none']),
  container: v.picklist(CONTAINERS),
  /** The file that was released. `size` is missing if only the stream was at hand. */
  released: v.object({
    name: fileNameField,
    location: textField(4096),
    sha256: sha256Field,
    size: v.optional(sizeField),
  }),
  recipe: recipeSchema,
});

const missingSchema = v.object({
  ...idFields,
  release: textField(256),
  name: fileNameField,
  reason: textField(1024),
});

const recipesSchema = v.object({
  schemaVersion: v.literal(RECIPES_VERSION, 'this bundle needs another version of iso-rehydrate'),
  architecture: v.picklist(ARCHITECTURES),
  release: textField(256),
  stream: v.object({ name: textField(256), sha256: sha256Field, size: sizeField }),
  iso: v.object({
    name: fileNameField,
    location: textField(4096),
    sha256: sha256Field,
    size: sizeField,
    embedded: v.boolean(),
  }),
  bases: v.object({ metal: v.optional(baseSchema), metal4k: v.optional(baseSchema) }),
  artifacts: v.pipe(v.array(artifactSchema), v.maxLength(4096)),
  missing: v.pipe(v.array(missingSchema), v.maxLength(4096)),
});

export type Recipes = v.InferOutput<typeof recipesSchema>;
export type RecipeArtifact = v.InferOutput<typeof artifactSchema>;
export type MissingArtifact = v.InferOutput<typeof missingSchema>;
export type Recipe = v.InferOutput<typeof recipeSchema>;
export type DerivedBase = v.InferOutput<typeof baseSchema>;

/**
 * Decodes an untrusted recipe manifest. Throws FormatError with the JSON path; `RECIPES_BASE` if an
 * artifact needs a base that is not described, `RECIPES_TWICE` if an artifact is listed twice, and
 * `RECIPES_CONFLICT` if a recipe cannot give the size and SHA-256 that its artifact claims.
 */
export function decodeRecipes(bytes: Uint8Array, source: string): Recipes {
  const recipes = parseJson(bytes, recipesSchema, { what: 'recipe manifest', source });
  const fail = (code: string, message: string, at: string) =>
    new FormatError(`the recipe manifest is inconsistent at ${at}: ${message}`, {
      code,
      context: { file: source, jsonPath: at },
    });
  const seen = new Set<string>();
  for (const [index, artifact] of recipes.artifacts.entries()) {
    const at = `$.artifacts[${index}]`;
    const id = idText(artifact);
    if (seen.has(id)) throw fail('RECIPES_TWICE', `${id} is listed twice`, at);
    seen.add(id);
    const { recipe } = artifact;
    if (recipe.kind !== 'iso' && recipe.base !== 'iso' && !recipes.bases[recipe.base]) {
      throw fail('RECIPES_BASE', `base ${recipe.base} is not described`, `${at}.recipe.base`);
    }
    const whole = recipe.kind === 'iso' ? recipes.iso : baseOf(recipes, recipe);
    if (whole && (whole.sha256 !== artifact.sha256 || whole.size !== artifact.size)) {
      throw fail('RECIPES_CONFLICT', `${id} is not what its recipe gives`, at);
    }
  }
  return recipes;
}

function baseOf(recipes: Recipes, recipe: Recipe): DerivedBase | undefined {
  return recipe.kind === 'base' ? recipes.bases[recipe.base] : undefined;
}

export function encodeRecipes(recipes: Recipes): Buffer {
  return canonicalJson(recipes);
}
